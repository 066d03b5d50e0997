"""The events of a trial: the numbers from 0 on, each in its place, and the copies that workers make of them.

A copy's key says which input it is of and which process made it, so that a repeat can be traced to a cut.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from typing import NamedTuple, Self

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 4
# One event in ten is urgent: both levels of the intake are at work.
URGENT_EVERY = 10
_PRODUCE_WITHIN_S = 120.0
_READ_WITHIN_S = 60.0
_TICK_S = 0.02
PROMPT = {"reconnect.backoff.max.ms": 500}
"""For clients that watch an outage: librdkafka may look away for ten seconds after one."""
_PURGED = (ck.KafkaError._PURGE_QUEUE, ck.KafkaError._PURGE_INFLIGHT)  # noqa: SLF001
# A backlog from the start, as after an outage.
_BACKLOG_S = 2.0


class Place(NamedTuple):
    """One input partition."""

    topic: str
    partition: int


class Copy(NamedTuple):
    """One record of the output."""

    number: int
    place: Place
    offset: int
    """Where the original stands."""
    maker: str
    """The run of a worker that made it: `a.0`, and `a.1` after its first restart."""
    written_at_ms: int
    """When the broker appended it, by the broker's clock, which is this machine's."""


def place_of(number: int) -> Place:
    """Where a number stands: its place has all numbers like it, in their order."""
    return Place("patient" if number % URGENT_EVERY else "urgent", number // URGENT_EVERY % PARTITIONS)


def ends_of(events: int) -> dict[Place, int]:
    """How many records each input partition holds once so many numbers are produced."""
    return dict(Counter(map(place_of, range(events))))


def offsets_of(events: int) -> dict[int, int]:
    """The offset of each number: its rank among those of its place, as its producer is idempotent."""
    offsets: dict[int, int] = {}
    counts: Counter[Place] = Counter()
    for number in range(events):
        place = place_of(number)
        offsets[number] = counts[place]
        counts[place] += 1
    return offsets


def copy_key(place: Place, offset: int, maker: str) -> bytes:
    return f"{place.topic} {place.partition} {offset} {maker}".encode()


def make_topics(bootstrap: str, prefix: str, replicas: int) -> None:
    """The two inputs and the output of a trial."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    # The broker's own time on each copy tells whether it was there when its original was committed.
    config = {"message.timestamp.type": "LogAppendTime"}
    topics = [
        NewTopic(f"{prefix}{name}", PARTITIONS, replicas, config=config)
        for name in ("urgent", "patient", "out")
    ]
    for made in admin.create_topics(topics).values():
        made.result(30)


class Feeder(threading.Thread):
    """Produces numbers at a steady pace until it is told that it is enough, some seconds' worth at once."""

    def __init__(self, bootstrap: str, prefix: str, rate_per_s: float) -> None:
        super().__init__(name="feeder", daemon=True)
        self._servers = bootstrap
        self._prefix = prefix
        self._rate_per_s = rate_per_s
        self._enough = threading.Event()
        self._refused: list[str] = []
        self.produced = 0
        """How many numbers there are by now."""
        self._looks_without = 0
        self._producer = self._make()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self.join(10)

    def run(self) -> None:
        began = time.monotonic() - _BACKLOG_S
        while not self._enough.is_set():
            while self.produced < (time.monotonic() - began) * self._rate_per_s:
                self._produce(self.produced)
                self.produced += 1
            self._poll()
        gives_up_at = time.monotonic() + _PRODUCE_WITHIN_S
        while len(self._producer) and time.monotonic() < gives_up_at:
            self._poll()

    def finish(self) -> int:
        """It is enough: wait until all events are in Kafka. How many there are."""
        self._enough.set()
        self.join(2 * _PRODUCE_WITHIN_S)
        left = len(self._producer)
        assert (self.is_alive(), left, self._refused) == (False, 0, []), "all events are in Kafka"
        return self.produced

    def _make(self) -> ck.Producer:
        self._looks_without = 0
        return ck.Producer(
            {
                "bootstrap.servers": self._servers,
                "enable.idempotence": True,
                "linger.ms": 5,
                # Brokers are going to be away: an event is given up long after the trial would have failed.
                "delivery.timeout.ms": 600_000,
                "log_level": 0,
                "statistics.interval.ms": 1_000,
                "stats_cb": self._look,
                **PROMPT,
            }
        )

    def _look(self, statistics: str) -> None:
        self._looks_without = 0 if json.loads(statistics)["brokers"] else self._looks_without + 1

    def _poll(self) -> None:
        self._producer.poll(_TICK_S)
        if self._looks_without > 1:
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Who knows no brokers never will (see `streams.producing`): go on behind what was written."""
        self._producer.purge()
        self._producer.flush(1)
        self._producer = self._make()
        consumer = ck.Consumer(
            {"bootstrap.servers": self._servers, "group.id": "unused", "log_level": 0, **PROMPT}
        )
        ends = {
            place: consumer.get_watermark_offsets(
                ck.TopicPartition(self._prefix + place.topic, place.partition), timeout=_PRODUCE_WITHIN_S
            )[1]
            for place in ends_of(self.produced)
        }
        consumer.close()
        for number, offset in offsets_of(self.produced).items():
            if offset >= ends[place_of(number)]:
                self._produce(number)

    def _produce(self, number: int) -> None:
        place = place_of(number)
        self._producer.produce(
            self._prefix + place.topic,
            str(number).encode(),
            partition=place.partition,
            on_delivery=self._told,
        )

    def _told(self, error: ck.KafkaError | None, _message: ck.Message) -> None:
        if error is not None and error.code() not in _PURGED:
            self._refused.append(str(error))


def read_copies(bootstrap: str, prefix: str) -> list[Copy]:
    """The whole output, each partition in its order."""
    consumer = ck.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False, "log_level": 0}
    )
    try:
        tps = [ck.TopicPartition(f"{prefix}out", partition, 0) for partition in range(PARTITIONS)]
        ends = {tp.partition: consumer.get_watermark_offsets(tp, timeout=30)[1] for tp in tps}
        left = {partition: end for partition, end in ends.items() if end}
        consumer.assign(tps)
        copies: list[Copy] = []
        deadline = time.monotonic() + _READ_WITHIN_S
        while left:
            assert time.monotonic() < deadline, f"the output could not be read to its end: {left}"
            for message in consumer.consume(1_000, 0.5):
                if message.error():
                    continue
                copies.append(_copy_of(message))
                if message.offset() + 1 >= left.get(message.partition(), message.offset() + 2):
                    del left[message.partition()]
        return copies
    finally:
        consumer.close()


def _copy_of(message: ck.Message) -> Copy:
    topic, partition, offset, maker = (message.key() or b"").decode().split()
    place = Place(topic, int(partition))
    return Copy(int(message.value() or b"-1"), place, int(offset), maker, message.timestamp()[1])
