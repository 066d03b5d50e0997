"""The span `send verdicts`: from the hand-over of a verdict to Kafka's confirmation, told from outside.

Stands before the publisher of a stage. Only a record of a sampled trace carries a header, so that all
others pass at the price of one look at it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from streams import conventions as names
from streams.core.traceparent import TraceParent, parse, sampled_header
from streams.ports import Clock, Outgoing, Publisher
from streams.tracing import SpanRecord, Tracer


class TracedPublisher:
    """A publisher that tells how long verdicts took to be written."""

    def __init__(self, publisher: Publisher, verdicts: str, tracer: Tracer, clock: Clock) -> None:
        self._publisher = publisher
        self._verdicts = verdicts
        self._tracer = tracer
        self._clock = clock

    async def room(self, records: int, size_bytes: int) -> None:
        """Wait until the publisher can take so much."""
        await self._publisher.room(records, size_bytes)

    def publish(self, records: Sequence[Outgoing]) -> asyncio.Future[None]:
        """Hand the records over; once they are confirmed, tell of the traced ones."""
        confirmed = self._publisher.publish(records)
        parents = [
            parent
            for record in records
            if record.headers and record.topic == self._verdicts and (parent := _parent_of(record))
        ]
        if parents:
            began_wall_ms, began_ms = self._clock.wall_ms(), self._clock.now_ms()

            def ended(future: asyncio.Future[None]) -> None:
                # Refused or abandoned, it was not written: what becomes of the record then is told elsewhere.
                if not future.cancelled() and future.exception() is None:
                    self._tell(parents, began_wall_ms, self._clock.now_ms() - began_ms)

            confirmed.add_done_callback(ended)
        return confirmed

    def place(self, records: Sequence[Outgoing]) -> asyncio.Future[int]:
        """Hand records over: nobody asks for the place of a verdict."""
        return self._publisher.place(records)

    def _tell(self, parents: Sequence[TraceParent], began_wall_ms: float, took_ms: float) -> None:
        for parent in parents:
            self._tracer.record(
                SpanRecord(
                    name=names.SPAN_SEND_VERDICTS,
                    start_ms=began_wall_ms,
                    end_ms=began_wall_ms + took_ms,
                    parent=parent,
                    kind="producer",
                    attributes={
                        names.MESSAGING_SYSTEM: names.MESSAGING_SYSTEM_KAFKA,
                        names.MESSAGING_OPERATION_NAME: "send",
                        names.MESSAGING_OPERATION_TYPE: "send",
                        names.MESSAGING_DESTINATION_NAME: self._verdicts,
                    },
                )
            )


def _parent_of(record: Outgoing) -> TraceParent | None:
    return parse(sampled_header(record.headers))
