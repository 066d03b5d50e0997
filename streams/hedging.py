"""Critical questions that wait for longer than nearly all others did are asked a second time, elsewhere.

As far as the budget allows; the first answer counts (`streams.asking`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from streams.core.budgets import Budget
from streams.jobs import Attempt, Job
from streams.members import Member
from streams.pool import Pool
from streams.ports import Clock

# A second attempt for twenty critical ones.
_SHARE = 0.05
_SAVED_MAX = 5.0
# A quarter of the time that is left is waited for the first node, however slow it is; and a tenth more than
# what 19 of 20 answers took, for where all take the same, half of them take a little longer.
_AFTER = 0.25
_BEYOND = 1.1


class Hedges:
    """All that are planned, and what they may cost."""

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        ask: Callable[[Member, Job, float], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._ask = ask
        self._should_stop = should_stop
        self._budget = Budget(_SHARE, saved_max=_SAVED_MAX)

    def __repr__(self) -> str:
        return f"<Hedges {self._budget!r}>"

    def earn(self) -> None:
        """A critical one was asked about for the first time."""
        self._budget.earn()

    def plan(self, member: Member, attempt: Attempt, now_ms: float) -> None:
        """Ask a second time, should this take too long."""
        slow_ms = member.recent.slow_ms()
        if slow_ms is None:
            return
        left_ms = attempt.job.left_ms(now_ms) or 0.0
        after_s = max(_BEYOND * slow_ms, _AFTER * left_ms) / 1_000
        attempt.hedge = asyncio.get_running_loop().call_later(after_s, self._hedge, member, attempt)

    def _hedge(self, member: Member, attempt: Attempt) -> None:
        now_ms, job = self._clock.now_ms(), attempt.job
        others = [other for other in self._pool.free(now_ms) if other is not member and not other.is_on_trial]
        if not others or self._should_stop() or not job.is_wanted() or not self._budget.is_there:
            return
        if (other := self._pool.choose(others, job, now_ms)) is not None:
            self._budget.spend()
            self._ask(other, job, now_ms)
