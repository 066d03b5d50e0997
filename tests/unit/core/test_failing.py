"""Weighing: who is condemned, who is tried again, and when a stage is broken."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.core.failing import Again, Hopeless, Patience, TooMany, Trial, pause_ms, weigh

PATIENCE = Patience(
    tries_max=4,
    wait_ms_first=100,
    wait_ms_max=1_000,
    tries_of_few=2,
    few_max=2,
    unwitnessed_max=2,
    condemned_max=5,
)
trials = st.lists(st.builds(Trial, st.integers(1, 5), st.booleans(), st.booleans()), max_size=8)


def alone(tries: int) -> Trial:
    return Trial(tries, is_witnessed=False)


def among_others(tries: int) -> Trial:
    return Trial(tries, is_witnessed=True)


def weighed(*given_trials: Trial, unwitnessed: int = 0, lately: int = 0) -> Again | Hopeless | TooMany:
    return weigh(given_trials, PATIENCE, unwitnessed=unwitnessed, condemned_lately=lately)


def test_a_record_is_condemned_when_another_has_passed_between_two_of_its_failures():
    assert weighed(among_others(2), alone(1)) == Again((0,), 0)


def test_where_none_passes_all_are_tried_again_after_growing_pauses():
    pauses = [pause_ms(tries, PATIENCE) for tries in range(1, 8)]
    assert pauses == [0, 100, 200, 400, 800, 1_000, 1_000]
    assert weighed(*[alone(2)] * 9) == Again((), 0)


def test_a_stumble_of_six_seconds_costs_nobody_anything():
    """As the engine's page says: seven tries, over 6.2 s."""
    patience = Patience()
    pauses = [pause_ms(tries, patience) for tries in range(1, patience.tries_max)]
    assert (len(pauses) + 1, sum(pauses)) == (7, 6_200)


def test_more_than_a_few_get_all_tries_though_others_pass():
    assert weighed(*[among_others(2)] * 2) == Again((0, 1), 0)
    assert weighed(*[among_others(2)] * 3) == Again((), 0)
    assert weighed(*[among_others(3)] * 3) == Again((), 0)
    assert weighed(*[among_others(4)] * 3) == Again((0, 1, 2), 0)


def test_those_who_were_condemned_lately_are_counted_among_the_few():
    assert weighed(among_others(2), lately=1) == Again((0,), 0)
    assert weighed(among_others(2), lately=2) == Again((), 0)
    assert weighed(among_others(4), lately=2) == Again((0,), 0)


def test_more_in_a_minute_than_may_be_condemn_the_stage_and_none_of_them():
    assert weighed(*[among_others(4)] * 2, lately=3) == Again((0, 1), 0)
    assert weighed(*[among_others(4)] * 2, among_others(1), lately=4) == TooMany((0, 1))
    assert weighed(*[among_others(4)] * 6) == TooMany((0, 1, 2, 3, 4, 5))
    assert weighed(among_others(1), lately=5) == Again((), 0)


def test_a_few_that_came_alone_are_condemned_in_the_end():
    assert weighed(alone(4)) == Again((0,), 1)
    assert weighed(alone(4), unwitnessed=1) == Again((0,), 1)


def test_a_third_in_a_row_or_three_at_once_condemn_the_stage_instead():
    assert weighed(alone(4), unwitnessed=2) == Hopeless()
    assert weighed(*[alone(4)] * 3) == Hopeless()


def test_one_that_ends_before_others_that_fail_like_it_waits_for_them():
    pausing = Trial(3, is_witnessed=False, is_pausing=True)
    assert weighed(alone(4), pausing) == Again((0,), 1)
    assert weighed(alone(4), pausing, pausing) == Again((), 0)
    ended = Trial(5, is_witnessed=False, is_pausing=True)
    assert weighed(alone(4), ended, pausing) == Again((), 0)
    assert weighed(alone(4), ended, ended) == Hopeless()


def test_nor_is_anybody_condemned_while_others_speak_against_too_many():
    pausing = Trial(3, is_witnessed=True, is_pausing=True)
    assert weighed(among_others(4), *[pausing] * 4) == Again((0,), 0)
    assert weighed(among_others(4), *[pausing] * 5) == Again((), 0)
    assert weighed(*[among_others(4)] * 6) == TooMany((0, 1, 2, 3, 4, 5))


def test_who_pauses_has_one_more_try_before_it_is_condemned():
    assert weighed(Trial(3, is_witnessed=True, is_pausing=True), among_others(1)) == Again((), 0)


@given(trials, st.integers(0, 3), st.integers(0, 6))
def test_nobody_is_condemned_without_a_witness_nor_anybody_beyond_the_bound(
    given_trials, unwitnessed, lately
):
    match weighed(*given_trials, unwitnessed=unwitnessed, lately=lately):
        case Again(condemned, more):
            unspoken = [at for at in condemned if not given_trials[at].is_witnessed]
            assert len(unspoken) == more
            assert not unspoken or unwitnessed + more <= PATIENCE.unwitnessed_max
            assert len(set(condemned)) == len(condemned)
            assert not condemned or lately + len(condemned) <= PATIENCE.condemned_max
            assert not any(given_trials[at].is_pausing for at in condemned)
            over = [
                trial
                for at, trial in enumerate(given_trials)
                if at not in condemned and trial.tries >= PATIENCE.tries_max and not trial.is_pausing
            ]
            unspoken = [trial for trial in given_trials if not trial.is_witnessed]
            are_too_many = (
                unwitnessed + len(unspoken) > PATIENCE.unwitnessed_max
                or lately + len(given_trials) > PATIENCE.condemned_max
            )
            assert not over or are_too_many, "nobody is tried for ever"
            early = [at for at in condemned if given_trials[at].tries < PATIENCE.tries_max]
            assert not early or lately + len(early) <= PATIENCE.few_max
        case TooMany(condemned):
            assert lately + len(condemned) > PATIENCE.condemned_max
        case Hopeless():
            assert any(trial.tries >= PATIENCE.tries_max for trial in given_trials)
