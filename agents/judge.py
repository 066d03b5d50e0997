"""Judge: what the fast path could not decide is answered from memory, or put to an inference node.

Reads: `pending.*`.
Writes: `verdicts` for what was answered or came too late, `dead-letters` for what no node can answer,
`memory` for answers that stand for copies, `campaigns` for texts that many send.
Decides with: `core.reusing` and `core.flights` who is asked about, `core.lanes` who goes next, `core.judging`
what an answer means, under the policy triage saw.
Acknowledges when: Kafka has confirmed the verdict or dead letter, and what is remembered of it, record by
record, in whatever order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, assert_never

import faust
import msgspec

from schemas.errors import UnknownVersion, WireError
from schemas.event import PRIORITIES
from schemas.memory import Memo
from schemas.pending import Pending
from schemas.verdict import ModelRef, Timing, Verdict
from schemas.wire import decode_pending
from streams import spans
from streams.app import each_batch, in_turns
from streams.campaigning import Campaigns
from streams.core.judging import (
    Case,
    Ruling,
    cache_verdict,
    fallback_verdict,
    model_verdict,
    moment,
    rule_on_answer,
    timing,
)
from streams.core.lateness import late_action
from streams.core.moments import Moments
from streams.core.orders import Orders
from streams.core.policies import PolicyBook
from streams.core.rules import Document
from streams.core.traceparent import TraceParent
from streams.dead_lettering import DeadLetters
from streams.dispatch import Failed, Job, Judged, Late, Outcome, Overdue
from streams.failing import Failing
from streams.observing import Tally
from streams.partitions import Batch
from streams.ports import Clock, Question, Record
from streams.records import pending_record, verdict_record
from streams.settling import Settling
from streams.sharing import Ask, Sharing
from streams.topics import Topics
from streams.tracing import Tracer


@dataclass(frozen=True, slots=True)
class _Work:
    """One pending record while it is being judged."""

    batch: Batch
    record: Record
    pending: Pending
    case: Case
    document: Document
    arrived_ms: float
    trace: TraceParent | None
    chat: TraceParent | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What the agent works with."""

    topics: Topics
    policies: PolicyBook
    orders: Callable[[], Orders]
    sharing: Sharing
    campaigns: Campaigns
    clock: Clock
    settling: Settling
    dead_letters: DeadLetters
    tally: Tally
    tracer: Tracer
    failing: Failing
    stop_worker: Callable[[Exception], None]
    moments: Moments = field(default_factory=Moments)

    async def handle(self, batch: Batch) -> None:
        """Put all records of a batch in their lanes; each is settled by itself, once it is answered."""
        await self.settling.room(len(batch.records), batch.size_bytes)
        async for record in in_turns(batch.records, self.clock):
            self.failing.attempt("asking", batch, record, self._admit, batch, record)

    def _admit(self, batch: Batch, record: Record) -> None:
        """Queue a record up; where that cannot be, it becomes a dead letter."""
        try:
            ask = self._ask_for(batch, record)
        except UnknownVersion as error:
            # A newer release writes here. Judging it by half would be worse than stopping, and nothing is
            # lost.
            batch.abandon((record.offset,))
            self.stop_worker(error)
            return
        except WireError as error:
            self.tally.dead_letter("judge", error.code)
            self.settling.settle_one(batch, record, self.dead_letters.of_wire_error(record, error))
            return
        if ask is not None:
            self.failing.passed("asking")
            # The last thing that is done: a record that is tried again was not submitted.
            self.sharing.submit(ask)

    def _ask_for(self, batch: Batch, record: Record) -> Ask | None:
        """The question that a record asks; None if there is no policy to ask it under any more."""
        pending = decode_pending(record.value)
        document = self._document(pending)
        if document is None:
            self._bury(batch, record, pending, "unknown_policy", attempts=0)
            return None
        work = self._work(batch, record, pending, document)
        self.campaigns.count(work.case, record, parked=pending.parked)
        return self._ask(work)

    def _document(self, pending: Pending) -> Document | None:
        """The policy document that triage saw; if it was taken back since, the one that is active now."""
        if (named := self.policies.document(pending.policy.digest)) is not None:
            return named
        pointer = self.policies.pointer(pending.policy.id)
        published = None if pointer is None else self.policies.document(pointer.digest)
        # A newer release may have published what this one cannot read: what judges here goes on.
        return published or self.policies.active(pending.policy.id)

    def _work(self, batch: Batch, record: Record, pending: Pending, document: Document) -> _Work:
        trace = spans.sampled(record.headers) if record.headers else None
        case = Case(
            event=pending.event,
            content_digest=pending.content_digest,
            priority=pending.priority,
            source=pending.source,
            policy=document.ref,
        )
        chat = self.tracer.child(trace) if trace else None
        return _Work(batch, record, pending, case, document, self.clock.now_ms(), trace, chat)

    def _ask(self, work: _Work) -> Ask:
        event = work.case.event
        question = Question(
            event=event,
            policy=work.document.policy,
            deadline_ms=self._deadline_ms(work),
            traceparent=work.chat.format().decode() if work.chat else "",
            priority=work.case.priority,
        )
        job = Job(
            question=question,
            lane=PRIORITIES.index(work.case.priority),
            arrived_ms=work.arrived_ms,
            done=lambda outcome: self._end(work, ask, outcome),
            is_wanted=lambda: work.batch.is_wanted,
            give_up=lambda: self._give_up(work, ask),
            # Nobody is older than those who stand before it for having a clock of its own.
            written_ms=min(work.arrived_ms, self._at_ms(work, work.record.timestamp)),
            offset=work.record.offset,
            is_apart=bool(work.pending.flags),
        )
        ask = Ask(
            job=job,
            case=work.case,
            document=work.document,
            partition=work.record.partition,
            flags=work.pending.flags,
            answered=lambda memo: self._remembered(work, memo),
            again=lambda: self._submit_again(work, ask),
        )
        return ask

    def _submit_again(self, work: _Work, ask: Ask) -> None:
        self.failing.attempt("asking", work.batch, work.record, self.sharing.submit, ask)

    def _deadline_ms(self, work: _Work) -> float | None:
        """The event's deadline on our own clock; it counts from the broker's timestamp."""
        if work.case.event.deadline_ms is None:
            return None
        return self._at_ms(work, work.case.source.timestamp_ms + work.case.event.deadline_ms)

    def _at_ms(self, work: _Work, moment_ms: float) -> float:
        """When a moment of the broker's clock is on our own."""
        return self.moments.at_ms(moment_ms, wall_ms=self.clock.wall_ms(), now_ms=work.arrived_ms)

    def _end(self, work: _Work, ask: Ask, outcome: Outcome) -> None:
        """A job came to its end. Whatever happens here, the record becomes a verdict or a dead letter."""
        if not self.failing.attempt("answer", work.batch, work.record, self._conclude, work, ask, outcome):
            # It is tried again by itself; nobody is to wait for that.
            self.sharing.leave(ask)

    def _conclude(self, work: _Work, ask: Ask, outcome: Outcome) -> Literal[True]:
        match outcome:
            case Judged():
                self._answer(work, ask, outcome)
                self.failing.passed("answer")
            case Late(attempts):
                self._publish(work, self._late(work, attempts))
                self.sharing.leave(ask)
            case Overdue(before_ms):
                self._park(work)
                self.sharing.overdue(ask, before_ms)
            case Failed(code, attempts):
                self._bury(work.batch, work.record, work.pending, code, attempts=attempts)
                self.sharing.leave(ask)
            case _:
                assert_never(outcome)
        return True

    def _give_up(self, work: _Work, ask: Ask) -> None:
        work.batch.abandon((work.record.offset,))
        self.sharing.leave(ask)

    def _remembered(self, work: _Work, memo: Memo) -> None:
        """An earlier answer, or that of a copy which was asked about, stands for this one."""
        self.failing.attempt("memory", work.batch, work.record, self._reuse, work, memo)

    def _reuse(self, work: _Work, memo: Memo) -> None:
        self._publish(work, self._cached(work, memo))
        self.failing.passed("memory")

    def _answer(self, work: _Work, ask: Ask, outcome: Judged) -> None:
        """Write the verdict of a node; once it is safe, the answer is there for copies."""
        answer, policy = outcome.answer, work.document.policy
        ruling = rule_on_answer(
            work.case.event.kind,
            answer.labels,
            answer.confidence,
            answer.result,
            policy,
            mass=answer.mass,
            coverage=answer.coverage,
        )
        verdict = self._judged(work, ruling, outcome)
        memo = self.sharing.memo_of(
            ask, verdict, ruling, answer.asked or answer.model, asked_ms=outcome.dispatched_ms
        )
        self._publish(
            work,
            verdict,
            lambda settle: self.sharing.share(ask, memo, settle),
            refused=lambda: self.sharing.leave(ask),
        )

    def _judged(self, work: _Work, ruling: Ruling, outcome: Judged) -> Verdict:
        answer = outcome.answer
        now_ms = self.clock.wall_ms()
        spent = self._spent(work, now_ms, outcome.answered_ms - outcome.dispatched_ms)
        if work.trace and work.chat:
            spans.judged(
                self.tracer,
                work.trace,
                work.case,
                arrived_ms=work.arrived_ms,
                dispatched_ms=outcome.dispatched_ms,
                answered_ms=outcome.answered_ms,
                clock=self.clock,
                model=answer.model,
                node=outcome.node,
                chat=work.chat,
            )
        return model_verdict(
            work.case,
            ruling,
            ModelRef(name=answer.model, node=outcome.node),
            spent,
            moment(now_ms),
            enforce=self.orders().enforce,
            attempts=outcome.attempts,
        )

    def _late(self, work: _Work, attempts: int) -> Verdict:
        now_ms = self.clock.wall_ms()
        spent = self._spent(work, now_ms)
        return fallback_verdict(
            work.case,
            late_action(work.document.policy, work.pending.suspected),
            "late",
            spent,
            moment(now_ms),
            enforce=self.orders().enforce,
            attempts=attempts,
        )

    def _cached(self, work: _Work, memo: Memo) -> Verdict:
        now_ms = self.clock.wall_ms()
        spent = self._spent(work, now_ms)
        return cache_verdict(work.case, memo, spent, moment(now_ms), enforce=self.orders().enforce)

    def _spent(self, work: _Work, now_ms: float, inference_ms: float = 0.0) -> Timing:
        return timing(
            written_at_ms=work.case.source.timestamp_ms,
            decided_at_ms=now_ms,
            worker_ms=self.clock.now_ms() - work.arrived_ms,
            inference_ms=inference_ms,
        )

    def _park(self, work: _Work) -> None:
        """Send the record to the tail of its topic, so that it does not hold those behind it any longer."""
        parked = msgspec.structs.replace(work.pending, parked=work.pending.parked + 1)
        self.settling.settle_one(work.batch, work.record, pending_record(self.topics, parked, work.trace))

    def _publish(
        self,
        work: _Work,
        verdict: Verdict,
        first: Callable[[Callable[[], None]], None] | None = None,
        refused: Callable[[], None] | None = None,
    ) -> None:
        """Write a verdict, and settle once it is safe; `first` is done before that, and settles by itself.

        `refused` is called instead where Kafka will never take it.
        """
        outgoing = verdict_record(self.topics, verdict, work.trace)
        self.tally.verdict(verdict)
        self.settling.settle_one(work.batch, work.record, outgoing, first, refused)

    def _bury(self, batch: Batch, record: Record, pending: Pending, code: str, *, attempts: int) -> None:
        """Write a dead letter under the event's key, and settle the record with it."""
        self.tally.dead_letter("judge", code)
        letter = self.dead_letters.of(
            record,
            code=code,
            attempts=attempts,
            tenant=pending.event.tenant,
            event_id=pending.event.id,
            event=pending.source,
        )
        self.settling.settle_one(batch, record, letter)


def register(app: faust.App, stage: Judge) -> None:
    """Make the agent of an app."""
    topics = [stage.topics.pending(priority) for priority in PRIORITIES]

    @app.agent(app.topic(*topics), name="judge")
    async def judge_agent(stream: faust.StreamT[Batch]) -> None:
        await each_batch(stream, stage.handle, stage.failing)
