"""What `penstock send` does, once its arguments are known: checks, produces, awaits, shows."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from typing import BinaryIO, TextIO

from infra.awaiting import Answers, Awaited, Place
from infra.clients import Cluster, Writer, reach
from infra.counting import counted
from infra.errors import ExitCode, Failure
from infra.outgoing import Draft, Mistake, drafts
from infra.settings import load
from infra.showing import dead_letter_line, verdict_line
from infra.terminal import safe
from schemas.dead_letter import DeadLetter
from schemas.settings import Settings
from schemas.verdict import Verdict
from schemas.wire import encode
from streams import conventions
from streams.clock import SystemClock
from streams.core.traceparent import HEADER, TraceParent
from streams.topics import Topics
from streams.tracing import NullTracer, SpanRecord, Tracer, new_trace

# Most events that are waited for at a time; sending pauses there, so that memory stays bounded.
_AWAITED_MAX = 10_000
_IDS_TOLD_MAX = 5
_TRACES_S = 2.0


def send(args: argparse.Namespace, stdin: BinaryIO, out: TextIO) -> ExitCode:
    """Send everything that was asked for; with `--wait`, return when all of it is answered."""
    settings = load(args).settings
    waiting = drafts(args, settings.limits, stdin)
    # A mistake in the first event is told before anybody is connected to.
    first = next(waiting, None)
    if first is None:
        raise Failure("There was nothing to send.", exit_code=ExitCode.USAGE)
    cluster = reach(settings)
    sending = _Sending(args, settings, cluster, out)
    try:
        sending.all_of(first, waiting)
        sending.finish()
    finally:
        sending.close()
    return ExitCode.OK


class _Sending:
    """One run of `send`."""

    def __init__(self, args: argparse.Namespace, settings: Settings, cluster: Cluster, out: TextIO) -> None:
        self._args = args
        self._topic = Topics.of(settings.topics).content(args.priority)
        self._out = out
        self._clock = SystemClock()
        # Before the first event is sent: its answer may be there in a millisecond.
        self._answers = Answers(settings, cluster) if args.wait else None
        self._awaited = Awaited()
        self._buried: list[DeadLetter] = []
        self._writer = Writer(settings, cluster)
        self._tracer = _tracer(settings)

    def all_of(self, first: Draft, others: Iterator[Draft]) -> None:
        """Send them one by one; of a mistake among them it is told how many were sent before it."""
        self._one(first)
        sent = 1
        try:
            for draft in others:
                self._one(draft)
                sent += 1
        except Mistake as mistake:
            self._writer.flush()
            raise Failure(
                f"{mistake.sentence} What stands before it was sent ({counted(sent, 'event')}): mend it, and "
                "send from it on.",
                exit_code=mistake.exit_code,
            ) from None

    def _one(self, draft: Draft) -> None:
        trace = self._trace()
        self._writer.write(
            self._topic,
            draft.key,
            draft.value,
            [(HEADER, trace.format())],
            on_placed=self._placed(draft, trace),
        )
        if self._answers is not None and len(self._awaited) + len(self._writer) >= _AWAITED_MAX:
            self._writer.flush()
            self._await(_AWAITED_MAX // 2)

    def finish(self) -> None:
        """Have everything confirmed, and answered if that is asked for."""
        self._writer.flush()
        if self._answers is not None:
            self._await(0)
        if self._buried:
            raise Failure(
                f"{counted(len(self._buried), 'event')} could not be judged and became dead letters: see "
                "`penstock dead-letters`.",
                exit_code=ExitCode.TIMED_OUT,
            )

    def close(self) -> None:
        """Leave."""
        if self._answers is not None:
            self._answers.close()
        self._tracer.close(_TRACES_S)

    def _trace(self) -> TraceParent:
        """Sampled where the user asks for it, or where the share of the settings says so."""
        begun = self._tracer.root()
        return begun if begun and not self._args.trace else new_trace(sampled=self._args.trace)

    def _placed(self, draft: Draft, trace: TraceParent) -> Callable[[str, int, int], None]:
        began_ms = self._clock.wall_ms()

        def placed(topic: str, partition: int, offset: int) -> None:
            event = draft.event
            if trace.sampled:
                self._tell(trace, topic, partition, began_ms)
            if self._answers is not None:
                self._awaited.expect(event.tenant, event.id, Place(topic, partition, offset))
            elif self._args.json:
                where = {"topic": topic, "partition": partition, "offset": offset}
                self._say(json.dumps({"tenant": event.tenant, "id": event.id, **where}))
            else:
                self._say(f"{safe(event.tenant)}/{safe(event.id)} is in {topic}/{partition}@{offset}")

        return placed

    def _tell(self, trace: TraceParent, topic: str, partition: int, began_ms: float) -> None:
        """The span at the root of all that follows from this event."""
        self._tracer.record(
            SpanRecord(
                name=conventions.SPAN_SEND,
                start_ms=began_ms,
                end_ms=self._clock.wall_ms(),
                context=trace,
                kind="producer",
                attributes={
                    conventions.MESSAGING_SYSTEM: conventions.MESSAGING_SYSTEM_KAFKA,
                    conventions.MESSAGING_OPERATION_NAME: "send",
                    conventions.MESSAGING_OPERATION_TYPE: "send",
                    conventions.MESSAGING_DESTINATION_NAME: topic,
                    conventions.MESSAGING_DESTINATION_PARTITION_ID: str(partition),
                },
            )
        )

    def _await(self, left: int) -> None:
        """Show answers until no more than so many are missing; each answer gives the rest its time anew."""
        assert self._answers is not None
        deadline_ms = self._clock.now_ms() + self._args.timeout * 1_000
        while len(self._awaited) > left:
            for answer in self._answers.read():
                if self._awaited.take(answer):
                    self._show(answer)
                    deadline_ms = self._clock.now_ms() + self._args.timeout * 1_000
            if len(self._awaited) > left and self._clock.now_ms() >= deadline_ms:
                raise self._timed_out()

    def _show(self, answer: Verdict | DeadLetter) -> None:
        if isinstance(answer, Verdict):
            self._say(encode(answer).decode() if self._args.json else verdict_line(answer))
            return
        self._buried.append(answer)
        if not self._args.json:
            self._say(dead_letter_line(answer))

    def _timed_out(self) -> Failure:
        ids = ", ".join(self._awaited.ids[:_IDS_TOLD_MAX])
        more = len(self._awaited) - _IDS_TOLD_MAX
        return Failure(
            f"No verdict on {ids}{f' and {more} more' if more > 0 else ''} within {self._args.timeout:g} s: "
            "see with `penstock status` whether a worker runs, what is paused, and how far it lags; or raise "
            "--timeout. What was sent is in Kafka and will be judged.",
            exit_code=ExitCode.TIMED_OUT,
        )

    def _say(self, line: str) -> None:
        print(line, file=self._out, flush=True)


def _tracer(settings: Settings) -> Tracer:
    if settings.telemetry.traces == "off":
        return NullTracer()
    # Only here: loading OpenTelemetry takes longer than sending an event.
    from infra.telemetry import open_tracer  # noqa: PLC0415

    return open_tracer(settings.telemetry, instance="send")
