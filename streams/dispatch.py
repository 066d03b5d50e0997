"""From lanes to nodes: who waits gets the next free slot; what a node fails at goes to another.

One question a request. Event-driven: `_kick` runs when something arrives, ends, or comes back; there is no
tick. Decisions are `core.lanes` and `core.retrying`; settling, verdicts and dead letters are the agent's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from mode import Service

from schemas.event import PRIORITIES
from schemas.settings import JudgeSettings
from streams.core.lanes import LANES, Lanes
from streams.core.retrying import Again, Evidence, GiveUp, after_fault, is_out
from streams.observing import LaneStatus, NodeStatus
from streams.ports import Answer, Clock, Node, NodeFault, Overloaded, Question
from streams.turns import ByAndBy

# An overloaded node is left alone for what it asked for, or for this, doubled with each refusal in a row.
_OVERLOAD_PAUSE_MS = 50.0
_OVERLOAD_PAUSE_MS_MAX = 4_000.0
# A start waits no longer than this to hear which models are served: as long as a probe takes at most. Until a
# model is known nothing that it answered is found, and copies of what it judged would be asked about again.
_LEARN_S = 2.0
# Many may end in one moment, deadlines after an outage above all; the loop belongs to others, too.
_ENDED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Judged:
    """A node has answered."""

    answer: Answer
    node: str
    attempts: int
    dispatched_ms: float
    answered_ms: float


@dataclass(frozen=True, slots=True)
class Failed:
    """No node will ever answer this."""

    code: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Late:
    """The deadline passed before a node was free."""

    attempts: int


@dataclass(frozen=True, slots=True)
class Overdue:
    """It waited so long while nodes were up that others should not wait for it any longer."""

    before_ms: float
    """Who came before this moment has waited for so long."""


Outcome = Judged | Failed | Late | Overdue


@dataclass(slots=True, eq=False)
class Job:
    """One question in the lanes, and whom to tell."""

    question: Question
    lane: int
    arrived_ms: float
    done: Callable[[Outcome], None]
    is_wanted: Callable[[], bool]
    """False once its partition is given away, or about to be: nobody would settle the answer."""
    give_up: Callable[[], None]
    """Called instead of `done` when the job leaves without an answer: a drain, or it is not wanted any
    more.
    """
    is_answered: Callable[[], bool] = lambda: False
    """Asked when a node is free for it; True: it has been answered from elsewhere now, and is done with."""
    attempts: int = 0
    failed_on: set[str] = field(default_factory=set)
    """The nodes that had it: another one is asked first."""
    is_alone: bool = False
    """Whether its node has had nothing else to do since it was dispatched."""
    answered_before: int = 0
    """How many answers its node had given when it was dispatched."""


@dataclass(slots=True, eq=False)
class _Member:
    """A node, and how it is doing."""

    node: Node
    running: set[Job] = field(default_factory=set)
    is_out: bool = False
    quiet_until_ms: float = 0.0
    refusals: int = 0
    answered: int = 0
    one_by_one: int = 0
    """So many questions it gets each alone: after it broke off, to see which of them breaks it."""
    last_error: str = ""

    @property
    def load(self) -> float:
        """The share of its slots that is taken."""
        return len(self.running) / self.node.slots

    def has_room(self, now_ms: float) -> bool:
        slots = 1 if self.one_by_one else self.node.slots
        return not self.is_out and len(self.running) < slots and now_ms >= self.quiet_until_ms

    def begin(self, job: Job) -> None:
        """It gets a question."""
        for other in self.running:
            other.is_alone = False
        job.is_alone = not self.running
        job.answered_before = self.answered
        self.running.add(job)

    def end(self, job: Job) -> None:
        """A question has come back, in whatever way."""
        self.running.discard(job)
        if not self.is_out:
            self.one_by_one = max(0, self.one_by_one - 1)

    def evidence(self, job: Job, fault: NodeFault) -> Evidence:
        return Evidence(fault.was_sent, job.is_alone, self.answered > job.answered_before)

    def state(self, now_ms: float) -> str:
        return "out" if self.is_out else "overloaded" if now_ms < self.quiet_until_ms else "up"


class Dispatch(Service):
    """The lanes and the nodes of one worker."""

    abstract = False
    mundane_level = "debug"

    def __init__(self, nodes: Sequence[Node], settings: Callable[[], JudgeSettings], clock: Clock) -> None:
        super().__init__()
        self._members = [_Member(node) for node in nodes]
        self._settings = settings
        self._clock = clock
        self._lanes: Lanes[Job] = Lanes()
        self._given_up: ByAndBy[Job] = ByAndBy(lambda job: job.give_up())
        self._running: dict[asyncio.Task[None], Job] = {}
        self._wake: asyncio.TimerHandle | None = None
        self._is_kicking = False

    def __repr__(self) -> str:
        up = sum(not member.is_out for member in self._members)
        work = f"{len(self._running)} in flight, {len(self._lanes)} waiting"
        return f"<Dispatch [{up} of {len(self._members)} up | {work}]>"

    async def on_start(self) -> None:
        """Hear of each node which model it serves: copies are looked up under the models' names.

        A node that does not answer now is told by its first answer; without it nobody is asked there anyhow.
        """
        unknown = [member.node for member in self._members if not member.node.model]
        asking = [asyncio.ensure_future(node.probe()) for node in unknown]
        if asking:
            _, late = await asyncio.wait(asking, timeout=_LEARN_S)
            for probe in late:
                probe.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    def models(self) -> tuple[str, ...]:
        """Whom the nodes ask, and how, as far as the models are known; each once."""
        return tuple(dict.fromkeys(member.node.asks for member in self._members if member.node.asks))

    def submit(self, job: Job) -> None:
        """Queue a job; one of its callbacks is called exactly once."""
        self._put_back(job)
        self._kick()

    def promote(self, job: Job, lane: int) -> None:
        """Let a job that waits go on in another lane; one that is on a node is as far as it can be."""
        job.lane = lane
        if self._lanes.move(job, lane):
            self._kick()

    def begin_drain(self) -> None:
        """Give up what waits; what is on a node is finished."""
        self._given_up.add(self._lanes.clear())

    @property
    def is_held(self) -> bool:
        """Whether no node would take anything: what waits, waits for them."""
        return all(member.is_out for member in self._members)

    def release_overdue(self) -> None:
        """Let go of what has waited for too long, unless there was nobody to take it."""
        if self.is_held:
            return
        before_ms = self._clock.now_ms() - self._settings().park_after_s * 1_000
        first = self._lanes.arrived_before(before_ms)[:_ENDED_AT_ONCE]
        if first:
            self._lanes.remove(set(first))
        for job in first:
            job.done(Overdue(before_ms))

    async def on_stop(self) -> None:
        """Cancel what is still on nodes: it stays unsettled, and the sockets close."""
        self.begin_drain()
        if self._wake:
            self._wake.cancel()
        await self._given_up.finish()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await asyncio.gather(*(member.node.close() for member in self._members), return_exceptions=True)

    # -- choosing -------------------------------------------------------------------------------------------

    def _put(self, job: Job) -> None:
        self._lanes.put(job, lane=job.lane, at_ms=job.arrived_ms, deadline_ms=job.question.deadline_ms)

    def _kick(self) -> None:
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
        for late in islice(self._lanes.expired(now_ms), _ENDED_AT_ONCE):
            late.done(Late(late.attempts))
        while (free := self._free(now_ms)) and (job := self._lanes.take()):
            if not job.is_wanted():
                job.give_up()
            elif not job.is_answered():
                self._dispatch(_best(free, job), job, now_ms)
        self._sleep_until(self._next_moment_ms(now_ms), now_ms)

    def _free(self, now_ms: float) -> list[_Member]:
        return [member for member in self._members if member.has_room(now_ms)]

    def _next_moment_ms(self, now_ms: float) -> float | None:
        """When something changes by itself: a deadline passes, or an overloaded node may be asked again."""
        if not len(self._lanes):
            return None
        moments = [member.quiet_until_ms for member in self._members if member.quiet_until_ms > now_ms]
        if (deadline_ms := self._lanes.next_deadline_ms()) is not None:
            moments.append(deadline_ms)
        return min(moments, default=None)

    def _sleep_until(self, moment_ms: float | None, now_ms: float) -> None:
        if self._wake:
            self._wake.cancel()
        self._wake = None
        if moment_ms is not None and not self.should_stop:
            self._wake = asyncio.get_running_loop().call_later((moment_ms - now_ms) / 1_000, self._kick)

    # -- asking ---------------------------------------------------------------------------------------------

    def _dispatch(self, member: _Member, job: Job, now_ms: float) -> None:
        member.begin(job)
        task = asyncio.get_running_loop().create_task(self._ask(member, job, now_ms))
        self._running[task] = job
        task.add_done_callback(lambda ended: self._ended(ended, member, job))

    def _ended(self, task: asyncio.Task[None], member: _Member, job: Job) -> None:
        del self._running[task]
        if task.cancelled():
            # We cancel only to stop, and then it is given up; else a node's client has cancelled itself.
            self._failed(member, job, NodeFault("cancelled"))
        elif bug := task.exception():
            # Whoever was to be told could not take it. Its record would never be settled by this worker.
            self.add_future(self.crash(bug))
        if not self.should_stop:
            self._kick()

    async def _ask(self, member: _Member, job: Job, dispatched_ms: float) -> None:
        try:
            try:
                answer = await member.node.judge(job.question)
            finally:
                # At once, because a job that failed may be back on this node before its task has ended.
                member.end(job)
        except NodeFault as fault:
            self._failed(member, job, fault)
        except Exception as bug:  # noqa: BLE001 - whatever a client does, the job must come to an end
            # Not its words or its trace: they may hold content.
            self.log.error("the client of node %s failed: %s", member.node.name, type(bug).__name__)  # noqa: TRY400
            self._failed(member, job, NodeFault(type(bug).__name__))
        else:
            member.answered += 1
            member.refusals = 0
            job.done(Judged(answer, member.node.name, job.attempts + 1, dispatched_ms, self._clock.now_ms()))

    def _failed(self, member: _Member, job: Job, fault: NodeFault) -> None:
        """Draw the consequences for the node, then for the job."""
        if self.should_stop:
            job.give_up()
            return
        member.last_error = fault.code
        job.failed_on.add(member.node.name)
        evidence = member.evidence(job, fault)
        if is_out(fault.code, evidence):
            self._take_out(member)
        elif isinstance(fault, Overloaded):
            self._slow_down(member, fault.retry_after_ms)
        deadline_ms = job.question.deadline_ms
        if deadline_ms is not None and self._clock.now_ms() >= deadline_ms:
            job.done(Late(job.attempts))
            return
        match after_fault(
            fault.code, evidence, attempts=job.attempts, attempts_max=self._settings().attempts_max
        ):
            case Again(attempts):
                job.attempts = attempts
                self._put_back(job)
            case GiveUp(code, attempts):
                job.done(Failed(code, attempts))

    def _put_back(self, job: Job) -> None:
        """Its old time gives it its old place; during a stop it is given up instead."""
        if self.should_stop or not job.is_wanted():
            job.give_up()
        else:
            self._put(job)

    def _slow_down(self, member: _Member, retry_after_ms: float) -> None:
        now_ms = self._clock.now_ms()
        # Requests that were under way together are refused together: that is one refusal, not a row of them.
        if now_ms >= member.quiet_until_ms:
            member.refusals += 1
        doubled_ms = _OVERLOAD_PAUSE_MS * 2 ** min(member.refusals - 1, 10)
        pause_ms = retry_after_ms or min(doubled_ms, _OVERLOAD_PAUSE_MS_MAX)
        member.quiet_until_ms = max(member.quiet_until_ms, now_ms + pause_ms)

    def _take_out(self, member: _Member) -> None:
        if member.is_out:
            return
        member.is_out = True
        # One of them may have broken it. Alone with each in turn, it shows which.
        member.one_by_one = max(member.one_by_one, len(member.running) + 1)
        self.log.warning("node %s is out: %s", member.node.name, member.last_error)
        self.add_future(self._bring_back(member))

    async def _bring_back(self, member: _Member) -> None:
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
            member.is_out = False
            self.log.info("node %s is back", member.node.name)
            self._kick()
            return

    # -- what it says of itself -----------------------------------------------------------------------------

    def lanes(self) -> tuple[LaneStatus, ...]:
        """The lanes now."""
        now_ms = self._clock.now_ms()
        oldest_ms = [self._lanes.oldest_ms(lane) for lane in range(LANES)]
        in_flight = [0] * LANES
        for job in self._running.values():
            in_flight[job.lane] += 1
        return tuple(
            LaneStatus(
                priority=priority,
                waiting=self._lanes.waiting(lane),
                in_flight=in_flight[lane],
                oldest_ms=0.0 if at_ms is None else now_ms - at_ms,
            )
            for lane, (priority, at_ms) in enumerate(zip(PRIORITIES, oldest_ms, strict=True))
        )

    def nodes(self) -> tuple[NodeStatus, ...]:
        """The nodes now."""
        now_ms = self._clock.now_ms()
        return tuple(
            NodeStatus(
                name=member.node.name,
                state=member.state(now_ms),
                in_flight=len(member.running),
                slots=member.node.slots,
                answered=member.answered,
                last_error=member.last_error,
            )
            for member in self._members
        )


def _best(free: Sequence[_Member], job: Job) -> _Member:
    """Of the nodes with room one that has not failed at this job, and then the one with the most of it."""
    return min(free, key=lambda member: (member.node.name in job.failed_on, member.load))
