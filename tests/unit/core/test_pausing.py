"""Pausing: nobody is lost or comes twice or before the pause is over, and the urgent come first."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streams.core.pausing import Pausing

urgencies = st.integers(0, 2)


class PausingMachine(RuleBasedStateMachine):
    """Beside a model of plain lists."""

    @initialize()
    def start(self):
        self.pausing: Pausing[int] = Pausing()
        # Moment, urgency, number; the number is the item.
        self.waiting: list[tuple[float, int, int]] = []
        self.ready: list[tuple[int, int]] = []
        self.now_ms = 0.0
        self.items = 0

    @rule(urgency=urgencies)
    def come(self, urgency):
        self.items += 1
        self.pausing.come(self.items, urgency=urgency)
        self.ready.append((urgency, self.items))

    @rule(urgency=urgencies, ms=st.integers(0, 50))
    def pause(self, urgency, ms):
        self.items += 1
        self.pausing.pause(self.items, urgency=urgency, until_ms=self.now_ms + ms)
        self.waiting.append((self.now_ms + ms, urgency, self.items))

    @rule(ms=st.integers(0, 30))
    def time_passes(self, ms):
        self.now_ms += ms
        self.ready += [(urgency, item) for at_ms, urgency, item in self.waiting if at_ms <= self.now_ms]
        self.waiting = [one for one in self.waiting if one[0] > self.now_ms]
        assert self.pausing.ready(self.now_ms) == len(self.ready)

    @rule()
    def take(self):
        item = self.pausing.take()
        if not self.ready:
            assert item is None
            return
        first = min(self.ready)
        assert item == first[1]
        self.ready.remove(first)

    @rule()
    def clear(self):
        self.pausing.clear()
        self.waiting.clear()
        self.ready.clear()

    @invariant()
    def nobody_is_lost(self):
        assert len(self.pausing) == len(self.waiting) + len(self.ready)

    @invariant()
    def it_is_known_how_long_nobody_can_be_taken(self):
        first_ms = min((at_ms for at_ms, *_ in self.waiting), default=float("inf"))
        assert self.pausing.wait_ms(self.now_ms) == (0 if self.ready else first_ms - self.now_ms)


TestPausing = PausingMachine.TestCase
