"""Triage: the fast path.

Reads: `content.*`.
Writes: `verdicts` for what the rules decide, `pending.*` for the rest, `dead-letters` for what is no event.
Decides with: `core.triage`, under the active policy of the event's policy id.
Acknowledges when: Kafka has confirmed everything that a batch led to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import faust

from schemas.errors import WireError
from schemas.event import PRIORITIES
from schemas.pending import Pending
from schemas.settings import LimitSettings
from schemas.wire import check_text, event_decoder
from streams import spans
from streams.app import each_batch, in_turns
from streams.core.digest import content_digest
from streams.core.judging import Case, moment, rule_verdict, timing
from streams.core.orders import Orders
from streams.core.policies import PolicyBook
from streams.core.traceparent import TraceParent, header, parse
from streams.core.triage import Decided, Undecided, triage
from streams.dead_lettering import DeadLetters
from streams.failing import Failing
from streams.observing import Tally
from streams.partitions import Batch
from streams.ports import Clock, Outgoing, Record, size_of
from streams.records import pending_record, source_of, verdict_record
from streams.settling import Settling
from streams.topics import Topics
from streams.tracing import Tracer


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """What the agent works with."""

    topics: Topics
    default_policy: str
    policies: PolicyBook
    limits: Callable[[], LimitSettings]
    orders: Callable[[], Orders]
    secret: bytes
    clock: Clock
    settling: Settling
    dead_letters: DeadLetters
    tally: Tally
    tracer: Tracer
    failing: Failing

    async def handle(self, batch: Batch) -> None:
        """Decide on all records of a batch, publish, and leave the settling to the confirmation."""
        began_ms = self.clock.now_ms()
        records: list[Record] = []
        outgoing: list[Outgoing] = []
        async for record in in_turns(batch.records, self.clock):
            made = self.failing.attempt(
                "triage", batch, record, self._handled, record, began_ms, again=self._alone
            )
            if made is not None:
                records.append(record)
                outgoing.append(made)
        await self.settling.room(len(outgoing), size_of(outgoing))
        self.settling.settle_batch(batch.part(records), outgoing)

    def _alone(self, batch: Batch, record: Record) -> None:
        """The same for one record, which was left out of its batch."""
        self.settling.settle_one(batch, record, self._handled(record, self.clock.now_ms()))

    def _handled(self, record: Record, began_ms: float) -> Outgoing:
        """What becomes of one record."""
        try:
            return self._decided(record, began_ms)
        except WireError as error:
            self.tally.dead_letter("triage", error.code)
            return self.dead_letters.of_wire_error(record, error)

    def _decided(self, record: Record, began_ms: float) -> Outgoing:
        limits = self.limits()
        event = event_decoder(limits.record_bytes_max)(record.value)
        check_text(event, limits.text_bytes_max)
        compiled = self.policies.active(event.policy or self.default_policy)
        if compiled is None:
            self.tally.dead_letter("triage", "unknown_policy")
            return self.dead_letters.of(
                record, code="unknown_policy", path="$.policy", tenant=event.tenant, event_id=event.id
            )
        case = Case(
            event=event,
            content_digest=content_digest(event, secret=self.secret, scope="tenant"),
            priority=self.topics.priority_of(record.topic),
            source=source_of(record),
            policy=compiled.ref,
        )
        match triage(event, compiled):
            case Decided() as decided:
                made = self._verdict(case, decided, record, began_ms)
            case Undecided() as undecided:
                made = self._pending(case, undecided, record, began_ms)
        self.failing.passed("triage")
        return made

    def _verdict(self, case: Case, decided: Decided, record: Record, began_ms: float) -> Outgoing:
        now_ms = self.clock.wall_ms()
        spent = timing(
            written_at_ms=record.timestamp, decided_at_ms=now_ms, worker_ms=self.clock.now_ms() - began_ms
        )
        verdict = rule_verdict(case, decided, spent, moment(now_ms), enforce=self.orders().enforce)
        made = verdict_record(self.topics, verdict, self._traced(case, record, began_ms, verdict.action))
        self.tally.verdict(verdict)
        return made

    def _pending(self, case: Case, undecided: Undecided, record: Record, began_ms: float) -> Outgoing:
        trace = parse(header(record.headers)) if record.headers else None
        pending = Pending(
            v=1,
            content_digest=case.content_digest,
            priority=case.priority,
            event=case.event,
            source=case.source,
            policy=case.policy,
            flags=undecided.flags,
            obfuscation=undecided.obfuscation,
            shadow_hits=undecided.shadow_hits,
            trace_id=trace.trace_id if trace and not trace.sampled else "",
        )
        return pending_record(self.topics, pending, self._traced(case, record, began_ms, ""))

    def _traced(self, case: Case, record: Record, began_ms: float, action: str) -> TraceParent | None:
        """The place in its trace of what follows from this record; None for nearly all."""
        parent = spans.sampled(record.headers) if record.headers else None
        if parent is None:
            return None
        return spans.triaged(self.tracer, parent, case, action=action, began_ms=began_ms, clock=self.clock)


def register(app: faust.App, stage: Triage) -> None:
    """Make the agent of an app."""
    topics = [stage.topics.content(priority) for priority in PRIORITIES]

    @app.agent(app.topic(*topics), name="triage")
    async def triage_agent(stream: faust.StreamT[Batch]) -> None:
        await each_batch(stream, stage.handle, stage.failing)
