"""Whether a node is asked: closed (it is), open (it is probed), half open (one question shows).

What opens it is faults in a row or their share of what was asked lately; refusals for overload are no faults.
Who closes it is a probe that succeeds and then one question that is answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, assert_never

FAULTS_IN_A_ROW = 3
"""So many are lost to a node that dies, beside those that were on it."""
_FAULTS_MIN = 5
_FAULTS_SHARE = 0.5
_WINDOW_MS = 10_000.0
# A node that opened again at its first question is left alone for so long, doubled each time.
_PAUSE_MS = 5_000.0
_PAUSE_MS_MAX = 60_000.0
_JITTER = 0.2
_DOUBLED_MAX = 10

State = Literal["closed", "open", "half open"]
Consequence = Literal["none", "opens", "slower"]


@dataclass(slots=True)
class _Counts:
    """What came of questions in a span of time."""

    since_ms: float = float("-inf")
    faults: int = 0
    answers: int = 0


@dataclass(slots=True)
class Breaker:
    """The state of one node."""

    state: State = "closed"
    in_a_row: int = 0
    relapses: int = 0
    """How often it opened again at its first question."""
    probed_from_ms: float = float("-inf")
    """While open: from when on a probe may half open it."""
    _now: _Counts = field(default_factory=_Counts)
    _before: _Counts = field(default_factory=_Counts)

    def __str__(self) -> str:
        return f"<Breaker {self.state}, {self.in_a_row} faults in a row>"

    def answered(self, now_ms: float) -> bool:
        """The node has answered a question; whether that closed it."""
        self._turn(now_ms)
        self._now.answers += 1
        self.in_a_row = 0
        match self.state:
            case "half open":
                self._close()
                return True
            case "open" | "closed":
                return False
            case _:
                assert_never(self.state)

    def fault(
        self, now_ms: float, *, chance: float, is_last: bool = False, is_certain: bool = False
    ) -> Consequence:
        """The node has failed at a question.

        1. Half open: it opens, for longer than the last time.
        2. One that is certainly of no use (nobody listens, wrong model), or three faults in a row: it opens.
        3. More faults than answers lately, and five of them: it opens, unless it is the last one: then it
           gets less, for half of the answers is better than none.
        """
        self._turn(now_ms)
        self._now.faults += 1
        self.in_a_row += 1
        match self.state:
            case "open":
                return "none"
            case "half open":
                self.relapses += 1
                self._open(now_ms, chance)
                return "opens"
            case "closed":
                pass
            case _:
                assert_never(self.state)
        if is_certain or self.in_a_row >= FAULTS_IN_A_ROW:
            self._open(now_ms, chance)
            return "opens"
        if not self._is_mostly_faults:
            return "none"
        if is_last:
            self._forget_shares()
            return "slower"
        self._open(now_ms, chance)
        return "opens"

    def probed(self, now_ms: float) -> bool:
        """A probe has succeeded; whether it may be given a question now."""
        if self.state != "open" or now_ms < self.probed_from_ms:
            return False
        self.state = "half open"
        return True

    @property
    def _is_mostly_faults(self) -> bool:
        faults = self._now.faults + self._before.faults
        answers = self._now.answers + self._before.answers
        return faults >= _FAULTS_MIN and faults > _FAULTS_SHARE * (faults + answers)

    def _turn(self, now_ms: float) -> None:
        """Count in two halves of the window, so that nothing need be remembered one by one."""
        half_ms = _WINDOW_MS / 2
        if now_ms - self._now.since_ms >= half_ms:
            is_next = now_ms - self._now.since_ms < 2 * half_ms
            self._before = self._now if is_next else _Counts()
            self._now = _Counts(since_ms=now_ms)

    def _open(self, now_ms: float, chance: float) -> None:
        self.state = "open"
        pause_ms = 0.0
        if self.relapses:
            doubled_ms = _PAUSE_MS * 2 ** min(self.relapses - 1, _DOUBLED_MAX)
            pause_ms = min(doubled_ms, _PAUSE_MS_MAX) * (1 + _JITTER * chance)
        self.probed_from_ms = now_ms + pause_ms

    def _close(self) -> None:
        self.state = "closed"
        self.relapses = 0
        self.in_a_row = 0
        self._forget_shares()

    def _forget_shares(self) -> None:
        self._now, self._before = _Counts(since_ms=self._now.since_ms), _Counts()
