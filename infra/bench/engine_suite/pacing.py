"""Records sent at a steady rate, and how long each takes until its output can be read.

The key of a record is the moment at which it was sent, so the work must keep keys; or the value has it in the
place of `MOMENT`, and the key of the output ends with it, behind a slash.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import confluent_kafka as ck

from infra.kafka import librdkafka_options
from schemas.settings import KafkaSettings

MOMENT = b"<moment>"
_WITHIN_S = 120.0


class Pacer:
    """Sends to one topic and reads another. Both must be new."""

    def __init__(self, bootstrap: str, source: str, target: str, *, partitions: int) -> None:
        options = librdkafka_options(KafkaSettings(), bootstrap)
        self._source = source
        self._partitions = partitions
        self._producer = ck.Producer(options | {"linger.ms": 1})
        self._consumer = ck.Consumer(options | {"group.id": "none", "fetch.wait.max.ms": 100})
        self._consumer.assign([ck.TopicPartition(target, at, 0) for at in range(partitions)])
        self._sent = 0

    def send(self, value: bytes, records: int, rate: float) -> list[tuple[float, float]]:
        """Send so many at this rate; when each was sent and how many ms it took, once all are back."""
        found: list[tuple[float, float]] = []
        began_s = time.perf_counter()
        sent = 0
        while len(found) < records:
            due = min(records, int((time.perf_counter() - began_s) * rate) + 1)
            self._send(value, due - sent)
            sent = due
            self._producer.poll(0)
            found += self._arrived()
            if time.perf_counter() - began_s > records / rate + _WITHIN_S:
                raise TimeoutError(f"{records - len(found)} of {records} outputs did not come")
        return found

    def close(self) -> None:
        """Let go of the connections."""
        self._consumer.close()
        self._producer.flush(1)

    def _send(self, value: bytes, records: int) -> None:
        for _ in range(records):
            at = self._sent % self._partitions
            moment = b"%d" % time.perf_counter_ns()
            self._producer.produce(self._source, value.replace(MOMENT, moment), moment, at)
            self._sent += 1

    def _arrived(self) -> list[tuple[float, float]]:
        messages: Sequence[ck.Message] = self._consumer.consume(1, 0.001)
        if messages:
            messages = [*messages, *self._consumer.consume(1_000, 0)]
        now_s = time.perf_counter()
        sent_s = [int((message.key() or b"").rpartition(b"/")[2]) / 1e9 for message in messages]
        return [(at_s, (now_s - at_s) * 1_000) for at_s in sent_s]
