"""From lanes to nodes: who waits gets the next free slot; what a node fails at goes to another.

One question a request. Event-driven: `_kick` runs when something arrives, ends, or comes back, and at the
next moment at which something changes by itself; there is no tick. Decisions are in `core`; a node's state is
a `Member`; what becomes of an attempt is in `asking`; verdicts and dead letters are the agent's.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from itertools import chain, islice

from mode import Service

from schemas.event import PRIORITIES
from schemas.settings import JudgeSettings
from streams.asking import Asking
from streams.core.admission import OWN_MIN, Admission, room_for
from streams.core.lanes import LANES, Lanes, Shares
from streams.core.routing import Terms
from streams.jobs import Failed, Job, Judged, Late, Outcome, Overdue
from streams.members import Member
from streams.observing import LaneStatus, NodeStatus
from streams.pool import Pool
from streams.ports import Clock, Node, NodeFault
from streams.scraping import scraped
from streams.turns import ByAndBy

__all__ = ["Dispatch", "Failed", "Job", "Judged", "Late", "Outcome", "Overdue"]

# A start waits no longer than this to hear which models are served: as long as a probe takes at most. Until a
# model is known nothing that it answered is found, and copies of what it judged would be asked about again.
_LEARN_S = 2.0
# Many may end in one moment, deadlines after an outage above all; the loop belongs to others, too.
_ENDED_AT_ONCE = 100


def _plain_terms(_node: str) -> Terms:
    return Terms()


class Dispatch(Service):
    """The lanes and the nodes of one worker."""

    abstract = False
    mundane_level = "debug"

    def __init__(
        self,
        nodes: Sequence[Node],
        settings: Callable[[], JudgeSettings],
        clock: Clock,
        *,
        terms: Callable[[str], Terms] = _plain_terms,
        chance: Callable[[], float] = random.random,
    ) -> None:
        super().__init__()
        self._pool = Pool(Member(node, terms(node.name)) for node in nodes)
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._lanes: Lanes[Job] = Lanes(self._shares)
        self._suspects: Lanes[Job] = Lanes()
        """Those that may break a node, and are asked alone."""
        self._resting: dict[Job, asyncio.TimerHandle] = {}
        """Those that may not be tried again yet, for the budget is spent."""
        self._given_up: ByAndBy[Job] = ByAndBy(lambda job: job.give_up())
        self._admission = Admission()
        self._asking = Asking(self._pool, settings, clock, chance, self)
        self._wake: asyncio.TimerHandle | None = None
        self._is_kicking = False
        self._wakes_at_ms: float | None = None
        self.on_room: Callable[[], None] = lambda: None
        """Called when lanes pause or go on."""

    def __repr__(self) -> str:
        up = sum(not member.is_out for member in self._pool.members)
        work = f"{self._asking.under_way} in flight, {self._waiting} waiting"
        return f"<Dispatch [{up} of {len(self._pool.members)} up | {work}]>"

    @property
    def _waiting(self) -> int:
        return len(self._lanes) + len(self._suspects) + len(self._resting)

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

    # -- what others ask for --------------------------------------------------------------------------------

    def submit(self, job: Job) -> None:
        """Queue a job; one of its callbacks is called exactly once."""
        self.put_back(job)
        self.kick()

    def promote(self, job: Job, lane: int) -> None:
        """Let a job that waits go on in another lane; one that is on a node is as far as it can be."""
        job.lane = lane
        now_ms = self._clock.now_ms()
        if self._lanes.move(job, lane, now_ms) or self._suspects.move(job, lane, now_ms):
            self.kick()

    def models(self) -> tuple[str, ...]:
        """Whom the nodes ask, and how, as far as the models are known; each once."""
        asks = (member.node.asks for member in self._pool.members)
        return tuple(dict.fromkeys(asked for asked in asks if asked))

    def cancel(self, job: Job) -> bool:
        """Nobody wants it any more: it leaves without a word, and a node that has it is let go of.

        False if it has ended.
        """
        resting = self._resting.pop(job, None)
        if resting:
            resting.cancel()
        is_here = resting is not None or self._lanes.cancel(job) or self._suspects.cancel(job)
        return self._asking.cancel(job) or is_here

    def paused_lanes(self) -> frozenset[int]:
        """The lanes of which nothing more should be fetched."""
        return self._admission.paused

    def begin_drain(self) -> None:
        """Give up what waits; what is on a node is finished."""
        for timer in self._resting.values():
            timer.cancel()
        resting = list(self._resting)
        self._resting.clear()
        self._given_up.add([*resting, *self._lanes.clear(), *self._suspects.clear()])
        self._look_at_room()

    @property
    def is_held(self) -> bool:
        """Whether no node would take anything: what waits, waits for them."""
        return self._pool.is_out

    def release_overdue(self) -> None:
        """Let go of what has waited for too long, unless there was nobody to take it."""
        if self.is_held:
            return
        before_ms = self._clock.now_ms() - self._settings().park_after_s * 1_000
        overdue = [job for job in chain(self._lanes, self._suspects) if job.arrived_ms < before_ms]
        for job in overdue[:_ENDED_AT_ONCE]:
            if self._lanes.cancel(job) or self._suspects.cancel(job):
                job.done(Overdue(before_ms))

    async def on_start(self) -> None:
        """Hear of each node which model it serves: copies are looked up under the models' names.

        A node that does not answer now is told by its first answer; without it nobody is asked there anyhow.
        """
        unknown = [member.node for member in self._pool.members if not member.node.model]
        asking = [asyncio.ensure_future(node.probe()) for node in unknown]
        if asking:
            _, late = await asyncio.wait(asking, timeout=_LEARN_S)
            for probe in late:
                probe.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def on_started(self) -> None:
        """Listen to what engines say of themselves, where they do."""
        for member in self._pool.members:
            if (looks := scraped(member, self._clock, self._chance)) is not None:
                self.add_future(looks)

    async def on_stop(self) -> None:
        """Cancel what is still on nodes: it stays unsettled, and the sockets close."""
        self.begin_drain()
        if self._wake:
            self._wake.cancel()
        await self._given_up.finish()
        await self._asking.stop()
        closing = (member.node.close() for member in self._pool.members)
        await asyncio.gather(*closing, return_exceptions=True)

    # -- what an attempt ends with --------------------------------------------------------------------------

    def put_back(self, job: Job) -> None:
        """Its old time gives it its old place; during a stop it is given up instead."""
        if self.should_stop or not job.is_wanted():
            job.give_up()
            return
        now_ms = self._clock.now_ms()
        if job.is_critical:
            self._pool.reserve.seen(now_ms)
        lanes = self._suspects if job.is_suspect else self._lanes
        lanes.put(job, job.ticket(by_tenant=self._settings().fair_by_tenant), now_ms)

    def rest(self, job: Job, rest_ms: float) -> None:
        """Put it back, but not yet."""
        left_ms = job.left_ms(self._clock.now_ms())
        if left_ms is not None:
            rest_ms = max(0.0, min(rest_ms, left_ms))
        self._resting[job] = asyncio.get_running_loop().call_later(rest_ms / 1_000, self._rested, job)

    def _rested(self, job: Job) -> None:
        del self._resting[job]
        self.submit(job)

    def fail(self, bug: BaseException) -> None:
        """Whatever happened may not happen: stop."""
        self.add_future(self.crash(bug))

    def take_out(self, member: Member) -> None:
        """A node is not asked any more, until a probe and a question find it well."""
        self.log.warning("node %s is out: %s", member.name, member.last_error)
        self.add_future(self._bring_back(member))

    async def _bring_back(self, member: Member) -> None:
        """Probe a node that is out until it would take a question."""
        while not self.should_stop:
            await self.sleep(self._settings().probe_interval_ms / 1_000)
            try:
                await member.node.probe()
            except NodeFault as fault:
                member.last_error = fault.code
                continue
            except Exception as bug:  # noqa: BLE001 - whatever a client does, the node must be probed again
                member.last_error = type(bug).__name__
                continue
            if member.breaker.probed(self._clock.now_ms()):
                self.log.info("node %s is back", member.name)
                self.kick()
                return

    # -- choosing -------------------------------------------------------------------------------------------

    def kick(self) -> None:
        """Dispatch while somebody waits and somewhere is room; then sleep until the next known moment.

        Whoever is told here that a job has ended may submit another: the kick that goes on sees to it,
        or many who are late at once would be told each within the other.
        """
        if self._is_kicking:
            return
        self._is_kicking = True
        try:
            self._serve(self._clock.now_ms())
        finally:
            self._is_kicking = False

    def _serve(self, now_ms: float) -> None:
        late = chain(self._lanes.expired(now_ms), self._suspects.expired(now_ms))
        for job in islice(late, _ENDED_AT_ONCE):
            job.done(Late(job.attempts))
        self._ask_suspects(now_ms)
        self._fill(now_ms)
        self._look_at_room()
        self._sleep_until(self._next_moment_ms(now_ms), now_ms)

    def _fill(self, now_ms: float) -> None:
        """Dispatch from the lanes, but for the slots that are kept for critical ones."""
        slots = self._pool.slots
        for_all = slots - self._pool.reserve.kept(slots, now_ms)
        is_kept_idle = False
        while len(self._lanes) and (free := self._pool.free(now_ms)):
            job = self._lanes.take(now_ms, critical_only=self._asking.under_way >= for_all)
            if job is None:
                is_kept_idle = True
                break
            self._place(job, free, now_ms)
        self._pool.reserve.idles(slots, now_ms, is_idle=is_kept_idle)

    def _place(self, job: Job, free: Sequence[Member], now_ms: float) -> None:
        if not job.is_wanted():
            job.give_up()
        elif job.is_answered():
            return
        elif (member := self._pool.choose(free, job, now_ms)) is None:
            # Even the fastest of late would come too late: no slot is spent on it.
            job.done(Late(job.attempts))
        else:
            self._asking.ask(member, job, now_ms)

    def _ask_suspects(self, now_ms: float) -> None:
        while len(self._suspects) and (member := self._pool.cleared(now_ms)):
            job = self._suspects.take(now_ms)
            if job is None:
                break
            if not job.is_wanted():
                job.give_up()
            elif not job.is_answered():
                self._asking.ask(member, job, now_ms)
        if self._pool.is_clearing and not (len(self._suspects) or self._asking.suspects):
            self._pool.no_suspects()

    def _look_at_room(self) -> None:
        if len(self._lanes) <= OWN_MIN and not self._admission.paused:
            # No lane can have more than what is its own.
            return
        room = room_for(self._pool.declared, self._settings().waiting_max)
        if self._admission.look([self._lanes.waiting(lane) for lane in range(LANES)], room):
            self.on_room()

    def _next_moment_ms(self, now_ms: float) -> float | None:
        """When something changes by itself.

        1. A deadline passes.
        2. An overloaded node, or one whose minute is spent, may be asked again.
        3. Slots that are kept for critical ones are lent out.
        """
        if not self._waiting:
            return None
        moments = [
            self._lanes.next_deadline_ms(),
            self._suspects.next_deadline_ms(),
            self._pool.opens_at_ms(now_ms),
        ]
        if len(self._lanes) > self._lanes.waiting(0):
            moments.append(self._pool.reserve.lent_at_ms(self._pool.slots, now_ms))
        return min((moment for moment in moments if moment is not None), default=None)

    def _sleep_until(self, moment_ms: float | None, now_ms: float) -> None:
        if moment_ms == self._wakes_at_ms and moment_ms is not None and moment_ms > now_ms:
            # The timer is right as it is: most kicks change nothing.
            return
        if self._wake:
            self._wake.cancel()
        self._wake = self._wakes_at_ms = None
        if moment_ms is not None and not self.should_stop:
            self._wakes_at_ms = moment_ms
            self._wake = asyncio.get_running_loop().call_later((moment_ms - now_ms) / 1_000, self._woken)

    def _woken(self) -> None:
        self._wakes_at_ms = None
        self.kick()

    # -- what it says of itself -----------------------------------------------------------------------------

    def lanes(self) -> tuple[LaneStatus, ...]:
        """The lanes now."""
        now_ms = self._clock.now_ms()
        oldest_ms = [self._lanes.oldest_ms(lane) for lane in range(LANES)]
        in_flight = self._asking.in_flight()
        return tuple(
            LaneStatus(
                priority=priority,
                waiting=self._lanes.waiting(lane) + self._suspects.waiting(lane),
                in_flight=in_flight[lane],
                oldest_ms=0.0 if at_ms is None else max(0.0, now_ms - at_ms),
            )
            for lane, (priority, at_ms) in enumerate(zip(PRIORITIES, oldest_ms, strict=True))
        )

    def nodes(self) -> tuple[NodeStatus, ...]:
        """The nodes now."""
        now_ms = self._clock.now_ms()
        return tuple(member.status(now_ms) for member in self._pool.members)
