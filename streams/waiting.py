"""What waits for a node: in the lanes, in packs, apart because it may break one, or resting before a try.

Who goes next is decided in `core.lanes`, of what nothing more is fetched in `core.admission`; which node is
asked is for the dispatch.
"""

from __future__ import annotations

import asyncio
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

from schemas.event import PRIORITIES
from schemas.settings import JudgeSettings
from streams.core.admission import OWN_MIN, Admission, room_for
from streams.core.lanes import LANES, Lanes, Shares
from streams.jobs import Job
from streams.observing import LaneStatus
from streams.packs import Packs
from streams.ports import Clock
from streams.turns import ByAndBy


class Waiting:
    """All jobs that no node has."""

    def __init__(self, settings: Callable[[], JudgeSettings], clock: Clock, packs: Packs[Job]) -> None:
        self._settings = settings
        self._clock = clock
        self.lanes: Lanes[Job] = Lanes(self._shares)
        self.suspects: Lanes[Job] = Lanes()
        """Those that may break a node, and are asked alone."""
        self.packs = packs
        """Those whose turn has come: they gather for a free slot, or are left of packs that failed."""
        self._resting: dict[Job, asyncio.TimerHandle] = {}
        """Those that may not be tried again yet, for the budget is spent."""
        self._given_up: ByAndBy[Job] = ByAndBy(lambda job: job.give_up())
        self._admission = Admission()

    def __len__(self) -> int:
        return len(self.lanes) + len(self.packs) + len(self.suspects) + len(self._resting)

    def __repr__(self) -> str:
        return (
            f"<Waiting {self.lanes!r}, {len(self.packs)} in packs, {len(self.suspects)} suspects, "
            f"{len(self._resting)} resting>"
        )

    def _shares(self) -> Shares:
        judge = self._settings()
        return Shares(
            weights=(judge.share_high_ratio, judge.share_medium_ratio, judge.share_low_ratio),
            guards_ms=(
                judge.guard_high_s * 1_000,
                judge.guard_medium_s * 1_000,
                judge.guard_low_s * 1_000,
            ),
        )

    # -- coming and going -----------------------------------------------------------------------------------

    def put(self, job: Job) -> None:
        """Queue it up. What comes back after a failed attempt keeps its time, and so its place."""
        lanes = self.suspects if job.is_suspect else self.lanes
        lanes.put(job, job.ticket(by_tenant=self._settings().fair_by_tenant), self._clock.now_ms())

    def rest(self, job: Job, rest_ms: float, then: Callable[[Job], None]) -> None:
        """Keep it until it may be tried again, but not beyond its deadline."""
        left_ms = job.left_ms(self._clock.now_ms())
        if left_ms is not None:
            rest_ms = max(0.0, min(rest_ms, left_ms))
        loop = asyncio.get_running_loop()
        self._resting[job] = loop.call_later(rest_ms / 1_000, self._rested, job, then)

    def _rested(self, job: Job, then: Callable[[Job], None]) -> None:
        del self._resting[job]
        then(job)

    def move(self, job: Job, lane: int) -> bool:
        """Let it go on in another lane; whether it did wait in one."""
        now_ms = self._clock.now_ms()
        if self.packs.remove(partial(operator.is_, job)):
            # It belongs to those it waits with no longer.
            self.put(job)
            return True
        return self.lanes.move(job, lane, now_ms) or self.suspects.move(job, lane, now_ms)

    def cancel(self, job: Job) -> bool:
        """It leaves without a word; False if it did not wait."""
        resting = self._resting.pop(job, None)
        if resting:
            resting.cancel()
        return (
            resting is not None
            or self.lanes.cancel(job)
            or self.suspects.cancel(job)
            or bool(self.packs.remove(partial(operator.is_, job)))
        )

    def late(self, now_ms: float) -> Iterator[Job]:
        """Take out those whose deadline has passed."""
        of_lanes = chain(self.lanes.expired(now_ms), self.suspects.expired(now_ms))
        return chain(of_lanes, self._late_in_packs(now_ms)) if self.packs.is_used else of_lanes

    def _late_in_packs(self, now_ms: float) -> Iterator[Job]:
        # One at a time: who asks may stop before the last.
        for late in [job for job in self.packs if job.is_late(now_ms)]:
            yield from self.packs.remove(partial(operator.is_, late))

    def overdue(self, before_ms: float, at_once: int) -> Sequence[Job]:
        """Take out some that have been here since before this."""
        found = [job for job in chain(self.lanes, self.packs, self.suspects) if job.arrived_ms < before_ms]
        return [job for job in found[:at_once] if self.cancel(job)]

    def give_all_up(self) -> None:
        """Some now, the others in later turns of the loop."""
        for timer in self._resting.values():
            timer.cancel()
        resting = list(self._resting)
        self._resting.clear()
        packed = self.packs.remove(lambda _: True)
        self._given_up.add([*resting, *packed, *self.lanes.clear(), *self.suspects.clear()])

    async def all_given_up(self) -> None:
        """Return when all those are."""
        await self._given_up.finish()

    # -- what is known of them ------------------------------------------------------------------------------

    @property
    def paused(self) -> frozenset[int]:
        """The lanes of which nothing more should be fetched."""
        return self._admission.paused

    def look_at_room(self, slots: int) -> bool:
        """Pause lanes, or let them go on, for so many slots; whether anything changed."""
        if len(self.lanes) <= OWN_MIN and not self._admission.paused:
            # No lane can have more than what is its own.
            return False
        room = room_for(slots, self._settings().waiting_max)
        return self._admission.look([self.lanes.waiting(lane) for lane in range(LANES)], room)

    def next_deadline_ms(self) -> float | None:
        """The earliest deadline of all that wait in lanes or packs."""
        packed = [job.question.deadline_ms for job in self.packs] if self.packs.is_used else ()
        deadlines = (self.lanes.next_deadline_ms(), self.suspects.next_deadline_ms(), *packed)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def status(self, in_flight: Sequence[int]) -> tuple[LaneStatus, ...]:
        """The lanes now; of each, so many are on nodes."""
        now_ms = self._clock.now_ms()
        oldest_ms = self.lanes.oldest_ms()
        in_packs = Counter(job.lane for job in self.packs)
        return tuple(
            LaneStatus(
                priority=priority,
                waiting=self.lanes.waiting(lane) + self.suspects.waiting(lane) + in_packs[lane],
                in_flight=in_flight[lane],
                oldest_ms=0.0 if at_ms is None else max(0.0, now_ms - at_ms),
            )
            for lane, (priority, at_ms) in enumerate(zip(PRIORITIES, oldest_ms, strict=True))
        )
