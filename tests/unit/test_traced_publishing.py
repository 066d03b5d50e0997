"""The writing of a verdict is told once it is confirmed, and only of what is traced."""

from __future__ import annotations

import asyncio

import pytest

from streams.clock import ManualClock
from streams.core.traceparent import HEADER, TraceParent
from streams.ports import Outgoing, PublishError
from streams.publishing import MemoryPublisher
from streams.traced_publishing import TracedPublisher
from streams.tracing import MemoryTracer

PLACE = TraceParent("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)


def record(topic: str = "verdicts", place: TraceParent | None = PLACE) -> Outgoing:
    return Outgoing(topic, 0, b"k", b"v", ((HEADER, place.format()),) if place else ())


class SlowPublisher:
    """Confirms when the test says so."""

    def __init__(self) -> None:
        self.confirmed: asyncio.Future[None] | None = None

    async def room(self, records: int) -> None:
        """There is always room."""

    def publish(self, records) -> asyncio.Future[None]:
        self.confirmed = asyncio.get_running_loop().create_future()
        return self.confirmed


async def test_the_span_lasts_from_the_hand_over_to_the_confirmation():
    slow, tracer, clock = SlowPublisher(), MemoryTracer(), ManualClock()
    publisher = TracedPublisher(slow, "verdicts", tracer, clock)
    began = clock.wall_ms()

    writing = publisher.publish([record(), record(place=None)])
    clock.advance(40)
    assert not tracer.spans
    slow.confirmed.set_result(None)
    await writing
    await asyncio.sleep(0)

    [span] = tracer.named("send verdicts")
    assert (span.start_ms, span.end_ms) == (began, began + 40)
    assert span.parent == PLACE
    assert span.attributes["messaging.destination.name"] == "verdicts"


async def test_what_is_not_a_traced_verdict_is_not_told():
    memory, tracer = MemoryPublisher(), MemoryTracer()
    publisher = TracedPublisher(memory, "verdicts", tracer, ManualClock())

    await publisher.room(3, 30)
    await publisher.publish(
        [record("pending.low"), record(place=None), record(place=PLACE._replace(sampled=False))]
    )
    await asyncio.sleep(0)

    assert len(memory.records) == 3
    assert not tracer.spans


async def test_what_was_refused_or_abandoned_was_not_written():
    slow, tracer = SlowPublisher(), MemoryTracer()
    publisher = TracedPublisher(slow, "verdicts", tracer, ManualClock())

    refused = publisher.publish([record()])
    slow.confirmed.set_exception(PublishError("msg_size_too_large", [0]))
    with pytest.raises(PublishError):
        await refused
    publisher.publish([record()]).cancel()
    await asyncio.sleep(0)

    assert not tracer.spans
