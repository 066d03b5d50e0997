"""Brokers that are away for longer than the delivery timeout: what is under way fails at once, and waits."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest
from deadline import eventually
from pulse import SLICE_MS_MAX, Pulse

from streams.ports import Outgoing
from streams.publishing import KafkaPublisher

RECORDS = 16_000
AT_ONCE = 500
# Nobody listens on this port.
OPTIONS = {
    "bootstrap.servers": "127.0.0.1:1",
    "delivery.timeout.ms": 1_500,
    "request.timeout.ms": 1_000,
    "log_level": 0,
}


@pytest.fixture
def _no_collector() -> Iterator[None]:
    """Keep Python's collector off the loop: the worker does it in ways of its own, a test's heap is large."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("headers", [(), (("traceparent", b"00-1"),)], ids=["bulk", "one by one"])
async def test_thousands_of_records_that_fail_together_keep_the_loop_from_nobody(headers):
    troubles: list[str] = []
    publisher = KafkaPublisher(OPTIONS, on_fatal=troubles.append, on_trouble=troubles.append)
    records = [Outgoing("topic", 0, b"%d" % number, b"x" * 200, headers) for number in range(RECORDS)]
    pulse = Pulse()
    confirmed = []
    for first in range(0, RECORDS, AT_ONCE):
        confirmed.append(publisher.publish(records[first : first + AT_ONCE]))
        await asyncio.sleep(0)
    # Twice: they all time out, and all are handed over once more.
    for to_repeat in 2 * (RECORDS, 0):
        await eventually(
            lambda wanted=to_repeat: repr(publisher).endswith(f", {wanted} to repeat>"),
            within_s=30,
            every_s=0.005,
        )
    longest = pulse.stop()
    assert longest[0] < SLICE_MS_MAX, longest
    assert troubles == [
        "Kafka does not take what goes to topic (_MSG_TIMED_OUT); it is tried again and again"
    ]
    assert await publisher.close(0) >= RECORDS, "librdkafka counts some events of its own"
    assert not any(one.done() for one in confirmed)
