"""Pacing: as many at once as the node answers in time, against a model of an engine that batches."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streams.core.pacing import START, EngineLoad, Pacer


def answers(pacer: Pacer, *, at_ms: float, took_ms: float, in_flight: int, count: int = 200) -> float:
    """Answer so many questions, `in_flight` at once; the moment after."""
    for _ in range(-(-count // in_flight)):
        pacer.began(in_flight)
        for _ in range(in_flight):
            pacer.answered(at_ms + took_ms, began_ms=at_ms, took_ms=took_ms)
        at_ms += took_ms
    return at_ms


def settle(pacer: Pacer, *, alpha_ms: float, beta_ms: float, for_ms: float, at_ms: float = 0.0) -> float:
    """Run an engine whose time grows with what it has, under a backlog; the mean limit at the end."""
    limits = []
    began_ms = at_ms
    while at_ms < began_ms + for_ms:
        in_flight = pacer.limit
        at_ms = answers(
            pacer, at_ms=at_ms, took_ms=alpha_ms + beta_ms * in_flight, in_flight=in_flight, count=1
        )
        if at_ms > began_ms + for_ms * 2 / 3:
            limits.append(pacer.limit)
    return sum(limits) / len(limits)


def test_it_begins_small_and_never_exceeds_the_slots():
    assert Pacer(4).limit == 4
    assert Pacer(256).limit == START
    assert settle(Pacer(40, goal_ms=60_000), alpha_ms=200, beta_ms=1, for_ms=60_000) == 40


def test_it_settles_where_answers_just_meet_the_goal():
    # 200 + 8.25 x 97 is a second.
    limit = settle(Pacer(512, goal_ms=1_000), alpha_ms=200, beta_ms=8.25, for_ms=120_000)
    assert limit == pytest.approx(97, rel=0.06)


def test_when_the_node_slows_down_twofold_it_settles_anew_within_a_minute():
    pacer = Pacer(512, goal_ms=1_000)
    settle(pacer, alpha_ms=200, beta_ms=8.25, for_ms=120_000)
    limit = settle(pacer, alpha_ms=400, beta_ms=16.5, for_ms=60_000, at_ms=120_000)
    assert limit == pytest.approx(36, rel=0.12)


def test_there_is_no_increase_unless_the_limit_was_reached():
    pacer = Pacer(256)
    answers(pacer, at_ms=0.0, took_ms=100.0, in_flight=START - 1, count=2_000)
    assert pacer.limit == START


def test_answers_to_what_was_asked_before_a_change_say_nothing_of_it():
    pacer = Pacer(256, goal_ms=500)
    at_ms = answers(pacer, at_ms=0.0, took_ms=900.0, in_flight=START, count=START)
    slowed = pacer.limit
    assert slowed < START
    for _ in range(50):
        pacer.answered(at_ms + 1, began_ms=at_ms - 5, took_ms=2_000.0)
    assert pacer.limit == slowed


def test_refusals_that_come_together_are_one():
    pacer = Pacer(100, goal_ms=60_000)
    settle(pacer, alpha_ms=200, beta_ms=0, for_ms=30_000)
    for _ in range(50):
        pacer.overloaded(30_000.0)
    assert pacer.limit == 70


def test_a_large_question_may_take_longer():
    pacer = Pacer(8, goal_ms=1_000)
    for _ in range(100):
        pacer.answered(1_500.0, began_ms=0.0, took_ms=1_500.0, work=2.0)
    assert pacer.limit == 8


def test_without_a_goal_a_node_may_take_six_times_what_it_takes_unhurried():
    pacer = Pacer(64)
    answers(pacer, at_ms=0.0, took_ms=3_000.0, in_flight=1, count=20)
    assert pacer.goal_ms == pytest.approx(18_000)
    assert Pacer(64).goal_ms == 1_000


def test_after_it_was_out_a_node_begins_with_a_quarter_and_grows_fast():
    pacer = Pacer(100, goal_ms=60_000)
    settle(pacer, alpha_ms=200, beta_ms=0, for_ms=30_000)
    pacer.warm_up(30_000.0)
    assert pacer.limit == 25
    assert settle(pacer, alpha_ms=200, beta_ms=0, for_ms=9_000, at_ms=30_000) == 100


def test_requests_that_wait_in_the_engine_three_looks_in_a_row_are_too_many():
    pacer = Pacer(8)
    for _ in range(2):
        pacer.look(EngineLoad(running=6, waiting=3), 0.0)
    pacer.look(EngineLoad(running=6, waiting=0), 0.0)
    assert pacer.limit == 8
    for _ in range(3):
        pacer.look(EngineLoad(running=6, waiting=3), 0.0)
    assert pacer.limit == 5


def test_an_engine_with_fewer_slots_than_were_declared_is_believed_and_one_with_more_is_not():
    pacer = Pacer(8)
    pacer.look(EngineLoad(slots=3), 0.0)
    assert (pacer.limit, pacer.slots) == (3, 3)
    pacer.look(EngineLoad(slots=100), 1.0)
    assert (pacer.limit, pacer.slots) == (3, 8)
    pacer.look(EngineLoad(), 2.0)
    pacer.look(EngineLoad(slots=0), 3.0)
    assert (pacer.limit, pacer.slots) == (1, 1)


def test_figures_that_an_engine_does_not_tell_change_nothing():
    pacer = Pacer(8)
    for load in (EngineLoad(), *[EngineLoad(preemptions=3)] * 2, EngineLoad(), EngineLoad(preemptions=9)):
        pacer.look(load, 0.0)
    assert pacer.limit == 8


@pytest.mark.parametrize("load", [EngineLoad(5, 0, cache_usage=0.95), EngineLoad(5, 0, preemptions=7)])
def test_a_full_cache_is_a_reason_for_less(load):
    pacer = Pacer(8)
    pacer.look(EngineLoad(5, 0, preemptions=6), 0.0)
    pacer.look(load, 0.0)
    assert pacer.limit == 6


figures = st.none() | st.integers(0, 50)
loads = st.builds(EngineLoad, figures, figures, st.none() | st.floats(0, 1), figures, figures)


class PacerMachine(RuleBasedStateMachine):
    @initialize(slots=st.integers(1, 300), goal_ms=st.sampled_from([0, 200, 1_000]))
    def start(self, slots, goal_ms):
        self.pacer = Pacer(slots, goal_ms=goal_ms)
        self.now_ms = 0.0

    @rule(took_ms=st.integers(1, 3_000), in_flight=st.integers(1, 300), count=st.integers(1, 60))
    def answer(self, took_ms, in_flight, count):
        in_flight = min(in_flight, self.pacer.limit)
        self.now_ms = answers(
            self.pacer, at_ms=self.now_ms, took_ms=took_ms, in_flight=in_flight, count=count
        )

    @rule()
    def overload(self):
        before = self.pacer.limit
        self.pacer.overloaded(self.now_ms)
        assert self.pacer.limit <= before

    @rule()
    def come_back(self):
        self.pacer.warm_up(self.now_ms)

    @rule(load=loads)
    def look(self, load):
        self.pacer.look(load, self.now_ms)

    @invariant()
    def the_limit_is_within_the_slots(self):
        assert 1 <= self.pacer.limit <= self.pacer.slots


PacerMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestPacer = PacerMachine.TestCase
