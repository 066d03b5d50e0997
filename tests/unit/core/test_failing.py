"""Weighing: who is condemned, who is tried again, and when a stage is broken."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.core.failing import Again, Hopeless, Patience, Trial, pause_ms, weigh

PATIENCE = Patience(tries_max=3, wait_ms_first=100, wait_ms_max=1_000, unwitnessed_max=2)
trials = st.lists(st.builds(Trial, st.integers(1, 4), st.booleans()), max_size=8)


def test_a_record_is_condemned_when_another_has_passed_between_two_of_its_failures():
    ruling = weigh([Trial(2, is_witnessed=True), Trial(1, is_witnessed=False)], PATIENCE, unwitnessed=0)
    assert ruling == Again((0,), 0, 100)


def test_where_none_passes_all_are_tried_again_after_growing_pauses():
    pauses = [pause_ms(tries, PATIENCE) for tries in range(1, 8)]
    assert pauses == [0, 100, 200, 400, 800, 1_000, 1_000]
    assert weigh([Trial(2, is_witnessed=False)] * 9, PATIENCE, unwitnessed=0) == Again((), 0, 100)


def test_a_few_that_came_alone_are_condemned_in_the_end():
    assert weigh([Trial(3, is_witnessed=False)], PATIENCE, unwitnessed=0) == Again((0,), 1, 200)
    assert weigh([Trial(3, is_witnessed=False)], PATIENCE, unwitnessed=1) == Again((0,), 1, 200)


def test_a_third_in_a_row_or_three_at_once_condemn_the_stage_instead():
    assert weigh([Trial(3, is_witnessed=False)], PATIENCE, unwitnessed=2) == Hopeless()
    assert weigh([Trial(3, is_witnessed=False)] * 3, PATIENCE, unwitnessed=0) == Hopeless()


@given(trials, st.integers(0, 3))
def test_nobody_is_condemned_without_a_witness_beyond_the_bound(given_trials, unwitnessed):
    match weigh(given_trials, PATIENCE, unwitnessed=unwitnessed):
        case Again(condemned, more, wait_ms):
            unspoken = [at for at in condemned if not given_trials[at].is_witnessed]
            assert len(unspoken) == more
            assert not unspoken or unwitnessed + more <= PATIENCE.unwitnessed_max
            assert len(set(condemned)) == len(condemned)
            assert 0 <= wait_ms <= PATIENCE.wait_ms_max
            left = [trial for at, trial in enumerate(given_trials) if at not in condemned]
            assert all(trial.tries < PATIENCE.tries_max and not trial.is_witnessed for trial in left)
        case Hopeless():
            assert any(trial.tries >= PATIENCE.tries_max for trial in given_trials)
