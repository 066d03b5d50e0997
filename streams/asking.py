"""Attempts: a question is at a node, and what becomes of it there.

What goes together (`streams.packs`) is one attempt at several; each of them ends by itself. The first answer
counts, where one is asked a second time (`streams.hedging`). What a fault means is for `core.retrying`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol, assert_never

from schemas.settings import JudgeSettings
from streams.bundles import Bundle
from streams.core.budgets import Budget
from streams.core.lanes import LANES
from streams.core.retrying import (
    Again,
    Evidence,
    GiveUp,
    after_fault,
    backoff_ms,
    is_the_questions,
    node_trouble,
)
from streams.hedging import Hedges
from streams.jobs import Attempt, Failed, Job, Judged, Late
from streams.members import Member
from streams.packs import Packs
from streams.pool import Pool
from streams.ports import (
    Answer,
    BadAnswer,
    Clock,
    NodeFault,
    Overloaded,
    PackedAnswer,
    TimedOut,
    Unreachable,
)

log = logging.getLogger("penstock.dispatch")

# A retry for ten first attempts, and what a burst of trouble may cost at once.
_RETRY_SHARE = 0.1
_RETRIES_MAX = 100.0
_RETRIES_AT_FIRST = 10.0


class Desk(Protocol):
    """Where attempts come from, and go back to: the dispatch."""

    @property
    def should_stop(self) -> bool: ...
    def put_back(self, job: Job) -> None: ...
    def rest(self, job: Job, rest_ms: float) -> None: ...
    def take_out(self, member: Member) -> None: ...
    def compare(self, member: Member, job: Job, packed: Answer) -> None: ...
    def kick(self) -> None: ...
    def fail(self, bug: BaseException) -> None: ...


class Asking:
    """All attempts under way."""

    def __init__(
        self,
        pool: Pool,
        packs: Packs[Job],
        settings: Callable[[], JudgeSettings],
        clock: Clock,
        chance: Callable[[], float],
        desk: Desk,
    ) -> None:
        self._pool = pool
        self._packs = packs
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._desk = desk
        self._attempts: dict[Attempt, Member] = {}
        self._by_lane = [0] * LANES
        self._retries = Budget(_RETRY_SHARE, saved_max=_RETRIES_MAX, saved=_RETRIES_AT_FIRST)
        self._hedges = Hedges(pool, clock, self.ask, lambda: desk.should_stop)

    def __repr__(self) -> str:
        return f"<Asking {self.under_way} under way, retries {self._retries!r}, hedges {self._hedges!r}>"

    @property
    def under_way(self) -> int:
        return len(self._attempts)

    @property
    def suspects(self) -> int:
        """Those that are asked alone."""
        return sum(attempt.job.is_suspect for attempt in self._attempts)

    def in_flight(self) -> tuple[int, ...]:
        """How many jobs of each lane."""
        return tuple(self._by_lane)

    def ask(self, member: Member, job: Job, now_ms: float, bundle: Bundle[Job] | None = None) -> None:
        """Put a job to a node, or a whole pack, of which it is the first."""
        attempt = member.begin(job, now_ms, bundle)
        for each in attempt.jobs if bundle else (job,):
            if not (each.tries or each.failed_on or each.was_spoilt):
                self._retries.earn()
                if each.is_critical:
                    self._hedges.earn()
            each.tries.append(attempt)
            self._by_lane[attempt.lane] += 1
        self._attempts[attempt] = member
        attempt.task = asyncio.get_running_loop().create_task(self._run(member, attempt))
        attempt.task.add_done_callback(partial(self._ended, member, attempt))
        if job.is_critical and len(job.tries) == 1 and len(self._pool.members) > 1:
            self._hedges.plan(member, attempt, now_ms)

    def cancel(self, job: Job) -> bool:
        """Let go of a job; False if no node has it. What it shares a request with is not let go of."""
        tries = job.tries[:]
        job.tries.clear()
        for attempt in tries:
            if attempt.bundle is None or not attempt.waiting:
                _lose(attempt)
        return bool(tries)

    async def stop(self) -> None:
        """Cancel everything: it stays unsettled, and the sockets close."""
        tasks = [attempt.task for attempt in self._attempts if attempt.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- one attempt ----------------------------------------------------------------------------------------

    async def _run(self, member: Member, attempt: Attempt) -> None:
        try:
            try:
                answer = await _put_to(member, attempt)
            finally:
                # At once, because a job that failed may be back on this node before its task has ended.
                self._leave(member, attempt)
        except NodeFault as fault:
            self._failed(member, attempt, fault)
        except Exception as bug:  # noqa: BLE001 - whatever a client does, the job must come to an end
            # Not its words or its trace: they may hold content.
            log.error("the client of node %s failed: %s", member.name, type(bug).__name__)  # noqa: TRY400
            self._failed(member, attempt, NodeFault(type(bug).__name__))
        else:
            self._answered(member, attempt, answer)

    def _leave(self, member: Member, attempt: Attempt) -> None:
        if self._attempts.pop(attempt, None) is None:
            return
        member.end(attempt)
        self._by_lane[attempt.lane] -= 1 if attempt.bundle is None else len(attempt.bundle.jobs)
        if attempt.hedge:
            attempt.hedge.cancel()

    def _ended(self, member: Member, attempt: Attempt, task: asyncio.Task[None]) -> None:
        # One that was cancelled before it began has not left yet.
        self._leave(member, attempt)
        if task.cancelled():
            # We cancel to stop, and then it is given up, or what has lost; else a client cancelled itself.
            self._failed(member, attempt, NodeFault("cancelled"))
        elif bug := task.exception():
            # Whoever was to be told could not take it. Its record would never be settled by this worker.
            self._desk.fail(bug)
        if not self._desk.should_stop:
            self._desk.kick()

    def _answered(self, member: Member, attempt: Attempt, answer: Answer | PackedAnswer) -> None:
        now_ms = self._clock.now_ms()
        member.answer(attempt, answer, now_ms)
        if member.packing:
            self._packs.took(member.name, len(attempt.jobs), now_ms - attempt.began_ms)
        if attempt.is_lost:
            return
        if isinstance(answer, PackedAnswer):
            self._unpack(member, attempt, answer, now_ms)
            return
        if attempt.job.is_critical:
            self._pool.reserve.seen(now_ms)
        self._done(member, attempt, attempt.job, answer, now_ms)

    def _done(self, member: Member, attempt: Attempt, job: Job, answer: Answer, now_ms: float) -> None:
        job.tries.remove(attempt)
        self.cancel(job)
        job.done(Judged(answer, member.name, job.attempts + 1, attempt.began_ms, now_ms))

    def _unpack(self, member: Member, attempt: Attempt, answer: PackedAnswer, now_ms: float) -> None:
        """Each that was answered has its answer; each other is asked about again, alone, and charged."""
        if attempt.bundle is None:
            raise AssertionError("nobody has asked about a pack")
        told = self._packs.answered(member.name, attempt.bundle, answer)
        for job in told.alone:
            if attempt in job.tries:
                job.tries.remove(attempt)
                job.failed_on.add(member.name)
                # Others in the same request were answered: the node is well.
                self._go_on(member, job, BadAnswer("no usable answer in a pack"), Evidence(), now_ms)
        for job, said in told.done:
            if attempt in job.tries:
                self._done(member, attempt, job, said, now_ms)
        for job, said in told.again:
            self._desk.compare(member, job, said)

    def _failed(self, member: Member, attempt: Attempt, fault: NodeFault) -> None:
        """Draw the consequences for the node, then for each job."""
        if attempt.is_lost:
            return
        jobs = attempt.waiting
        for job in jobs:
            job.tries.remove(attempt)
        # One that has others left is still being asked elsewhere.
        waiting = [job for job in jobs if not job.tries]
        if self._desk.should_stop:
            for job in waiting:
                job.give_up()
            return
        now_ms = self._clock.now_ms()
        evidence = self._blame(member, attempt, fault, now_ms)
        if attempt.bundle is None or not is_the_questions(fault.code):
            for job in jobs:
                job.failed_on.add(member.name)
        if attempt.bundle is None:
            for job in waiting:
                self._go_on(member, job, fault, evidence, now_ms)
        else:
            self._part(member, attempt.bundle, waiting, fault, evidence, now_ms)

    def _part(
        self,
        member: Member,
        bundle: Bundle[Job],
        waiting: list[Job],
        fault: NodeFault,
        evidence: Evidence,
        now_ms: float,
    ) -> None:
        """A pack came to nothing: its halves are asked about, or its jobs go back to the lanes."""
        late = [job for job in waiting if job.is_late(now_ms)]
        left = tuple(job for job in waiting if not (job.is_late(now_ms) or job.is_critical))
        for job in waiting:
            if job.is_critical and job not in late:
                # It became so on the node.
                self._try_again(job, fault)
        if left:
            back = self._packs.failed(
                member.name, bundle, left, fault.code, evidence, now_ms=now_ms, may_retry=self._retries.spend
            )
            for job in left:
                job.was_spoilt = job.was_spoilt or back.is_spoilt
            for job in back.jobs:
                self._try_again(job, fault)
        for job in late:
            job.done(Late(job.attempts))

    def _go_on(self, member: Member, job: Job, fault: NodeFault, evidence: Evidence, now_ms: float) -> None:
        """A question got no answer: it is asked again, or has come to its end."""
        if job.is_late(now_ms):
            job.done(Late(job.attempts))
            return
        attempts_max = self._settings().attempts_max
        match after_fault(fault.code, evidence, attempts=job.attempts, attempts_max=attempts_max):
            case Again(attempts):
                if attempts > job.attempts and not evidence.was_alone:
                    member.charged.append(job)
                job.attempts = attempts
                self._try_again(job, fault)
            case GiveUp(code, attempts):
                job.done(Failed(code, attempts))

    def _try_again(self, job: Job, fault: NodeFault) -> None:
        """Now, if overload is all there was, or the budget has a retry left; else after a rest."""
        if isinstance(fault, Overloaded) or not job.is_wanted() or self._retries.spend():
            self._desk.put_back(job)
            return
        self._desk.rest(job, backoff_ms(job.rests, self._chance()))
        job.rests += 1

    def _blame(self, member: Member, attempt: Attempt, fault: NodeFault, now_ms: float) -> Evidence:
        """What it means for the node; and what is known of the question then."""
        member.last_error = fault.code
        jobs = attempt.jobs
        evidence = member.evidence(attempt, fault)
        if isinstance(fault, Overloaded):
            member.refuse(now_ms, fault.retry_after_ms)
            return evidence
        member.failed += 1
        if isinstance(fault, TimedOut):
            member.pacer.overloaded(now_ms)
        elif isinstance(fault, Unreachable) and fault.was_sent and not attempt.is_alone:
            for job in jobs:
                job.breaks += 1
        trouble = node_trouble(
            fault.code,
            evidence,
            # A pack is not believed for what stands in it, and the node is seen to be well or not by what
            # is left of it, which ends in questions about one post.
            is_repeated=attempt.bundle is not None or member.name in attempt.job.failed_on,
            was_cut=any(job.is_late(now_ms) for job in jobs),
        )
        if trouble != "none":
            self._break(member, now_ms, is_certain=trouble == "certain")
        return replace(evidence, is_out=member.is_out)

    def _break(self, member: Member, now_ms: float, *, is_certain: bool) -> None:
        consequence = member.breaker.fault(
            now_ms, chance=self._chance(), is_last=self._pool.is_last(member), is_certain=is_certain
        )
        match consequence:
            case "opens":
                member.forgive()
                self._desk.take_out(member)
            case "slower":
                member.pacer.overloaded(now_ms)
            case "none":
                pass
            case _:
                assert_never(consequence)


async def _put_to(member: Member, attempt: Attempt) -> Answer | PackedAnswer:
    packed = None if attempt.bundle is None else attempt.bundle.packed
    if packed is None or member.packing is None:
        return await member.node.judge(attempt.job.question)
    return await member.packing.judge_pack(packed)


def _lose(attempt: Attempt) -> None:
    """Cancel it: its socket closes, and the engine stops."""
    attempt.is_lost = True
    if attempt.task:
        attempt.task.cancel()
