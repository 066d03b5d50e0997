"""Triage: the fast path.

Reads: `content.*`.
Writes: `verdicts` for what the rules decide, `pending.*` for the rest, `dead-letters` for what is no event.
Decides with: `core.triage`, under the active policy of the event's policy id.
Acknowledges when: Kafka has confirmed everything that a batch led to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import faust
import msgspec

from schemas.errors import WireError
from schemas.event import PRIORITIES, Event, Priority
from schemas.pending import Pending
from schemas.settings import LimitSettings
from schemas.verdict import Verdict
from schemas.wire import WireDecoder, check_text, event_decoder
from streams import spans
from streams.app import each_batch, in_turns
from streams.core.costing import family_costs, rule_costs
from streams.core.digest import content_digest
from streams.core.flooding import FloodMeter
from streams.core.judging import Case, moment, rule_verdict, timing
from streams.core.orders import Orders
from streams.core.policies import PolicyBook
from streams.core.rules import CompiledPolicy, Finding
from streams.core.subjects import subject_of
from streams.core.traceparent import TraceParent, header, parse
from streams.core.triage import Decided, Undecided, triage
from streams.core.vetting import DECIDED_KINDS
from streams.dead_lettering import DeadLetters
from streams.failing import Failing
from streams.observing import Tally
from streams.partitions import Batch
from streams.ports import Clock, Outgoing, Record, size_of
from streams.records import pending_record, source_of, verdict_record
from streams.settling import Settling
from streams.topics import Topics
from streams.tracing import Tracer

_FEW = 50
"""So many more take nobody's turn."""
COST_SAMPLE = 256
"""Of so many offsets one post is measured: it costs tens of microseconds, looking twice as much again."""


class _Taken(NamedTuple):
    """What holds for a whole batch, whatever arrives in the meantime."""

    policies: Mapping[str, CompiledPolicy]
    limits: LimitSettings
    meter: FloodMeter
    decode: WireDecoder[Event]
    priority: Priority
    """Of the topic."""
    began_ms: float


class _Made(msgspec.Struct, frozen=True, gc=False):
    """What becomes of a record, and what is counted of it when that is handed on.

    Not sooner: whatever raises until then, the record is tried again. A whole batch of these is held, so the
    event is not, but for the sample.
    """

    record: Record
    outgoing: Outgoing
    code: str = ""
    """Of a dead letter."""
    is_post: bool = False
    found: Sequence[Finding] = ()
    verdict: Verdict | None = None
    sample: tuple[Case, CompiledPolicy] | None = None
    """Of the posts that are measured."""


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
        made: list[_Made] = []
        # Taken once: a policy that arrives while others have their turn judges from the next batch on.
        taken = self._taken(batch, began_ms)
        async for record in in_turns(batch.records, self.clock):
            one = self.failing.attempt(
                "triage", batch, record, self._handled, record, taken, again=self._alone
            )
            if one is not None:
                made.append(one)
        outgoing = [one.outgoing for one in made]
        await self.settling.room(len(outgoing), size_of(outgoing))
        await _others_turn(len(made))
        for one in made:
            self._count(one)
        await _others_turn(len(made))
        self.settling.settle_batch(batch.part([one.record for one in made]), outgoing)

    def _alone(self, batch: Batch, record: Record) -> None:
        """The same for one record, which was left out of its batch."""
        made = self._handled(record, self._taken(batch, self.clock.now_ms()))
        self._count(made)
        self.settling.settle_one(batch, record, made.outgoing)

    def _taken(self, batch: Batch, began_ms: float) -> _Taken:
        limits = self.limits()
        return _Taken(
            self.policies.judging(),
            limits,
            batch.meter,
            event_decoder(limits.record_bytes_max),
            self.topics.priority_of(batch.topic),
            began_ms,
        )

    def _handled(self, record: Record, taken: _Taken) -> _Made:
        """What becomes of one record."""
        try:
            return self._decided(record, taken)
        except WireError as error:
            return _Made(record, self.dead_letters.of_wire_error(record, error), error.code)

    def _decided(self, record: Record, taken: _Taken) -> _Made:
        event = taken.decode(record.value)
        check_text(event, taken.limits.text_bytes_max)
        compiled = taken.policies.get(event.policy or self.default_policy)
        if compiled is None:
            code = "unknown_policy"
            letter = self.dead_letters.of(
                record, code=code, path="$.policy", tenant=event.tenant, event_id=event.id
            )
            return _Made(record, letter, code)
        if (bytes_max := compiled.text_bytes_max.get(event.kind)) is not None:
            check_text(event, bytes_max)
        case = Case(
            event=event,
            content_digest=content_digest(event, secret=self.secret, scope="tenant"),
            priority=compiled.priority(taken.priority, event.kind),
            source=source_of(record),
            policy=compiled.ref,
        )
        found: list[Finding] = []
        decision = triage(
            event,
            compiled,
            digest=case.content_digest,
            at_ms=record.timestamp,
            meter=taken.meter,
            count=found.extend,
        )
        verdict: Verdict | None = None
        match decision:
            case Decided() as decided:
                verdict = self._verdict(case, decided, record, taken.began_ms)
                outgoing = verdict_record(
                    self.topics, verdict, self._traced(case, record, taken.began_ms, verdict.action)
                )
            case Undecided() as undecided:
                outgoing = self._pending(case, undecided, record, taken.began_ms)
        self.failing.passed("triage")
        is_post = event.kind in DECIDED_KINDS
        sample = (case, compiled) if is_post and record.offset % COST_SAMPLE == 0 else None
        return _Made(record, outgoing, "", is_post, found, verdict, sample)

    def _count(self, made: _Made) -> None:
        """What the fast path did; of one post in so many, what families and rules took for it."""
        if made.code:
            self.tally.dead_letter("triage", made.code)
        if made.verdict is not None:
            self.tally.verdict(made.verdict)
        if not made.is_post:
            return
        rules = self.tally.rules
        rules.posts += 1
        rules.decided += made.verdict is not None
        rules.found(made.found)
        if made.sample is not None:
            case, compiled = made.sample
            subject = subject_of(case.event, digest=case.content_digest)
            for family, took_ms in family_costs(compiled, subject, self.clock.now_ms):
                rules.cost(family, took_ms)
            turn = made.record.offset // COST_SAMPLE
            for rule, took_ms in rule_costs(compiled, subject, self.clock.now_ms, turn=turn):
                rules.rule_cost(rule, took_ms)

    def _verdict(self, case: Case, decided: Decided, record: Record, began_ms: float) -> Verdict:
        now_ms = self.clock.wall_ms()
        spent = timing(
            written_at_ms=record.timestamp, decided_at_ms=now_ms, worker_ms=self.clock.now_ms() - began_ms
        )
        return rule_verdict(case, decided, spent, moment(now_ms), enforce=self.orders().enforce)

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
            suspected=undecided.suspected,
            trace_id=trace.trace_id if trace and not trace.sampled else "",
        )
        return pending_record(self.topics, pending, self._traced(case, record, began_ms, ""))

    def _traced(self, case: Case, record: Record, began_ms: float, action: str) -> TraceParent | None:
        """The place in its trace of what follows from this record; None for nearly all."""
        parent = spans.sampled(record.headers) if record.headers else None
        if parent is None:
            return None
        return spans.triaged(self.tracer, parent, case, action=action, began_ms=began_ms, clock=self.clock)


async def _others_turn(records: int) -> None:
    """To count 500 records takes a millisecond, to publish them another: each after a turn of the others."""
    if records > _FEW:
        await asyncio.sleep(0)


def register(app: faust.App, stage: Triage) -> None:
    """Make the agent of an app."""
    topics = [stage.topics.content(priority) for priority in PRIORITIES]

    @app.agent(app.topic(*topics), name="triage")
    async def triage_agent(stream: faust.StreamT[Batch]) -> None:
        await each_batch(stream, stage.handle, stage.failing)
