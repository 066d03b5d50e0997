"""The breaker: it opens on evidence, closes only after a probe and an answer, and waits longer each time."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streams.core.breaker import FAULTS_IN_A_ROW, Breaker


def opened(breaker: Breaker, now_ms: float = 0.0) -> Breaker:
    assert breaker.fault(now_ms, chance=0.0, is_certain=True) == "opens"
    return breaker


def test_it_opens_at_three_faults_in_a_row_and_not_before():
    breaker = Breaker()
    assert [breaker.fault(0.0, chance=0.0) for _ in range(4)] == ["none", "none", "opens", "none"]
    assert breaker.state == "open"


def test_an_answer_ends_the_row():
    breaker = Breaker()
    for _ in range(4):
        breaker.fault(0.0, chance=0.0)
        breaker.answered(0.0)
    assert breaker.state == "closed"


def test_it_opens_when_most_of_what_was_asked_lately_failed():
    breaker = Breaker()
    consequences = []
    for at in range(20):
        consequences += [breaker.fault(at * 100.0, chance=0.0), breaker.fault(at * 100.0, chance=0.0)]
        breaker.answered(at * 100.0)
        if breaker.state != "closed":
            break
    assert consequences.count("opens") == 1
    assert len(consequences) >= 5


def test_the_last_node_gets_less_instead_unless_it_fails_in_a_row():
    breaker = Breaker()
    consequences = []
    for at in range(4):
        consequences += [breaker.fault(at, chance=0.0, is_last=True) for _ in range(2)]
        breaker.answered(at)
    assert "slower" in consequences
    assert "opens" not in consequences
    assert [breaker.fault(9, chance=0.0, is_last=True) for _ in range(3)][-1] == "opens"


def test_what_was_long_ago_does_not_count():
    breaker = Breaker()
    for at in range(40):
        for _ in range(2):
            breaker.fault(at * 10_000.0, chance=0.0)
            breaker.fault(at * 10_000.0, chance=0.0)
            breaker.answered(at * 10_000.0)
    assert breaker.state == "closed"


def test_a_certain_fault_opens_it_at_once_and_a_probe_and_an_answer_close_it():
    breaker = opened(Breaker())
    assert breaker.probed(1.0)
    assert breaker.state == "half open"
    assert breaker.answered(2.0)
    assert breaker.state == "closed"
    assert not breaker.answered(3.0)


def test_each_relapse_doubles_the_time_in_which_probes_count_for_nothing():
    breaker = opened(Breaker())
    pauses = []
    now_ms = 0.0
    for _ in range(6):
        assert breaker.probed(max(now_ms, breaker.probed_from_ms))
        assert breaker.fault(now_ms, chance=0.0) == "opens"
        pauses.append(breaker.probed_from_ms - now_ms)
        assert not breaker.probed(breaker.probed_from_ms - 1)
        now_ms = breaker.probed_from_ms
    assert pauses == [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.99])
def test_nodes_that_opened_together_are_not_tried_together(chance):
    breaker = opened(Breaker())
    breaker.probed(0.0)
    breaker.fault(0.0, chance=chance)
    assert breaker.probed_from_ms == pytest.approx(5_000 * (1 + 0.2 * chance))


class BreakerMachine(RuleBasedStateMachine):
    @initialize()
    def start(self):
        self.breaker = Breaker()
        self.now_ms = 0.0
        self.row = 0

    @rule(ms=st.integers(0, 20_000))
    def time_passes(self, ms):
        self.now_ms += ms

    @rule(certain=st.booleans(), last=st.booleans(), chance=st.floats(0, 0.99))
    def fault(self, certain, last, chance):
        before = self.breaker.state
        consequence = self.breaker.fault(self.now_ms, chance=chance, is_last=last, is_certain=certain)
        self.row += 1
        if before == "open":
            assert consequence == "none"
        if before == "half open" or (before == "closed" and certain):
            assert consequence == "opens"
        if consequence == "slower":
            assert last
        assert (consequence == "opens") == (before != "open" and self.breaker.state == "open")

    @rule()
    def answer(self):
        before = self.breaker.state
        assert self.breaker.answered(self.now_ms) == (before == "half open")
        assert self.breaker.state == ("open" if before == "open" else "closed")
        self.row = 0

    @rule()
    def probe(self):
        before = self.breaker.state
        allowed = before == "open" and self.now_ms >= self.breaker.probed_from_ms
        assert self.breaker.probed(self.now_ms) == allowed

    @invariant()
    def it_is_not_closed_after_three_faults_in_a_row(self):
        assert self.breaker.state != "closed" or self.row < FAULTS_IN_A_ROW

    @invariant()
    def it_waits_for_a_minute_and_some_at_most(self):
        assert self.breaker.probed_from_ms - self.now_ms <= 72_000


BreakerMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestBreaker = BreakerMachine.TestCase
