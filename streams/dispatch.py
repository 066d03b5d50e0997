"""From lanes to nodes: who waits gets the next free slot; what a node fails at goes to another.

One question a request, or a pack of them for nodes that take those. Event-driven: `kick` runs when something
arrives, ends, or comes back, and at the next moment at which something changes by itself; there is no tick.
Decisions are in `core`. What waits is in `waiting`, what goes together in `gathering`, a node's state in
`members`, what becomes of an attempt in `asking`; verdicts and dead letters are the agent's.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Collection, Sequence
from itertools import islice

from mode import Service

from schemas.settings import JudgeSettings
from streams.asking import Asking
from streams.bundles import Bundle
from streams.core.lanes import CRITICAL
from streams.core.routing import Terms
from streams.gathering import Gathering
from streams.jobs import Failed, Job, Judged, Late, Outcome, Overdue
from streams.members import Member
from streams.observing import LaneStatus, NodeStatus
from streams.packs import Packs
from streams.pool import Pool
from streams.ports import Answer, Clock, Node
from streams.probing import is_well, learn_models
from streams.rechecking import Rechecks
from streams.scraping import scraped
from streams.waiting import Waiting

__all__ = ["Dispatch", "Failed", "Job", "Judged", "Late", "Outcome", "Overdue"]

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
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        super().__init__()
        self._pool = Pool(Member(node, terms(node.name)) for node in nodes)
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self.packs: Packs[Job] = Packs(self._pool.packing, settings, entropy, self._is_done_with)
        """What gathers for nodes that take packs, and what is left of packs that came to nothing."""
        self._waiting = Waiting(settings, clock, self.packs)
        self._gathering = Gathering(self._pool, self._waiting, self.packs, settings)
        self._rechecks = Rechecks(self.packs, clock, self.submit)
        self._asking = Asking(self._pool, self.packs, settings, clock, chance, self)
        self._wake: asyncio.TimerHandle | None = None
        self._is_kicking = False
        self._wakes_at_ms: float | None = None
        self.on_overdue: Callable[[float], None] = lambda _: None
        """Called with the moment before which nobody may have come who still waits anywhere."""
        self.on_room: Callable[[], None] = lambda: None
        """Called when lanes pause or go on."""

    def __repr__(self) -> str:
        up = sum(not member.is_out for member in self._pool.members)
        work = f"{self._asking.under_way} in flight, {len(self._waiting)} waiting"
        return f"<Dispatch [{up} of {len(self._pool.members)} up | {work}]>"

    # -- what others ask for --------------------------------------------------------------------------------

    def submit(self, job: Job) -> None:
        """Queue a job; one of its callbacks is called exactly once."""
        self.put_back(job)
        self.kick()

    def promote(self, job: Job, lane: int) -> None:
        """Let a job that waits go on in another lane; one that is on a node is as far as it can be."""
        job.lane = lane
        if self._waiting.move(job, lane):
            self.kick()

    def models(self) -> tuple[str, ...]:
        """Whom the nodes ask, and how, as far as the models are known; each once."""
        return tuple(dict.fromkeys(asked for member in self._pool.members for asked in member.node.asks))

    def cancel(self, job: Job) -> bool:
        """Nobody wants it any more: it leaves without a word, and a node that has it is let go of.

        False if it has ended.
        """
        is_here = self._waiting.cancel(job)
        return self._asking.cancel(job) or is_here

    def drain(self, nodes: Collection[str]) -> None:
        """Ask the nodes of these names nothing more, and all others; what they are busy with is finished."""
        self._pool.drain(nodes)
        self.kick()

    def paused_lanes(self) -> frozenset[int]:
        """The lanes of which nothing more should be fetched."""
        return self._waiting.paused

    def begin_drain(self) -> None:
        """Give up what waits; what is on a node is finished."""
        self._waiting.give_all_up()
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
        for job in self._waiting.overdue(before_ms, _ENDED_AT_ONCE):
            job.done(Overdue(before_ms))
        self.on_overdue(before_ms)

    async def on_start(self) -> None:
        """Hear which models there are."""
        await learn_models(self._pool.members)

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
        await self._waiting.all_given_up()
        await self._asking.stop()
        closing = (member.node.close() for member in self._pool.members)
        await asyncio.gather(*closing, return_exceptions=True)

    # -- what an attempt ends with --------------------------------------------------------------------------

    def put_back(self, job: Job) -> None:
        """Its old time gives it its old place; during a stop it is given up instead."""
        if self.should_stop or not job.is_wanted():
            job.give_up()
            return
        if job.is_critical:
            self._pool.reserve.seen(self._clock.now_ms())
        self._waiting.put(job)

    def rest(self, job: Job, rest_ms: float) -> None:
        """Put it back, but not yet."""
        self._waiting.rest(job, rest_ms, self.submit)

    def compare(self, member: Member, job: Job, packed: Answer) -> None:
        """Ask once more about a post that was answered in a pack."""
        if not self.should_stop:
            self._rechecks.again(member.name, job, packed)

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
            if await is_well(member) and member.breaker.probed(self._clock.now_ms()):
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
        for job in islice(self._waiting.late(now_ms), _ENDED_AT_ONCE):
            job.done(Late(job.attempts))
        self._ask_suspects(now_ms)
        is_cut_short = self._fill(now_ms)
        self._look_at_room()
        self._sleep_until(now_ms if is_cut_short else self._next_moment_ms(now_ms), now_ms)

    def _fill(self, now_ms: float) -> bool:
        """Dispatch from the lanes, but for the slots that are kept for critical ones.

        True where so many ended without a node that the loop must go round first.
        """
        lanes, slots = self._waiting.lanes, self._pool.slots
        for_all = slots - self._pool.reserve.kept(slots, now_ms)
        packs = self.packs if self.packs.is_used else ()
        is_kept_idle = False
        ended = 0
        while (len(lanes) or len(packs)) and ended < _ENDED_AT_ONCE and (free := self._pool.free(now_ms)):
            critical_only = self._asking.under_way >= for_all
            may_go = packs and not (critical_only or lanes.waiting(CRITICAL))
            if may_go and (going := self._gathering.due(free, now_ms)):
                self._send(going.member, going.bundle, now_ms)
                continue
            job = lanes.take(now_ms, critical_only=critical_only)
            if job is None:
                is_kept_idle = critical_only
                break
            ended += not self._place(job, free, now_ms)
        self._pool.reserve.idles(slots, now_ms, is_idle=is_kept_idle)
        return ended == _ENDED_AT_ONCE

    def _place(self, job: Job, free: Sequence[Member], now_ms: float) -> bool:
        """Whether a node has it now, or a pack that gathers; else it has ended."""
        if self._is_done_with(job):
            return False
        if (member := self._pool.choose(free, job, now_ms)) is None:
            # Even the fastest of late would come too late: no slot is spent on it.
            job.done(Late(job.attempts))
            return False
        if member.packing is None:
            self._asking.ask(member, job, now_ms)
        elif bundle := self._gathering.offer(member, job, now_ms):
            self._send(member, bundle, now_ms)
        return True

    def _send(self, member: Member, bundle: Bundle[Job], now_ms: float) -> None:
        self._asking.ask(member, bundle.jobs[0], now_ms, bundle if bundle.packed else None)

    def _ask_suspects(self, now_ms: float) -> None:
        suspects = self._waiting.suspects
        while len(suspects) and (member := self._pool.cleared(now_ms)):
            job = suspects.take(now_ms)
            if job is not None and not self._is_done_with(job):
                self._asking.ask(member, job, now_ms)
        if self._pool.is_clearing and not (len(suspects) or self._asking.suspects):
            self._pool.no_suspects()

    @staticmethod
    def _is_done_with(job: Job) -> bool:
        """Whether it needs no node: nobody wants it any more, or it was answered from elsewhere."""
        if not job.is_wanted():
            job.give_up()
            return True
        return job.is_answered()

    def _look_at_room(self) -> None:
        if self._waiting.look_at_room(self._pool.declared):
            self.on_room()

    def _next_moment_ms(self, now_ms: float) -> float | None:
        """When something changes by itself.

        1. A deadline passes.
        2. An overloaded node, or one whose minute is spent, may be asked again.
        3. Slots that are kept for critical ones are lent out.
        4. A pack waits no longer for others.
        """
        if not len(self._waiting):
            return None
        moments = [self._waiting.next_deadline_ms(), self._pool.opens_at_ms(now_ms)]
        if self.packs.is_used:
            moments.append(self._gathering.due_at_ms(now_ms))
        if len(self.packs) or len(self._waiting.lanes) > self._waiting.lanes.waiting(CRITICAL):
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
        return self._waiting.status(self._asking.in_flight())

    def nodes(self) -> tuple[NodeStatus, ...]:
        """The nodes now."""
        now_ms = self._clock.now_ms()
        return tuple(member.status(now_ms) for member in self._pool.members)
