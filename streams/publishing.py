"""Writing to Kafka so that "published" means confirmed: librdkafka behind the `Publisher` port.

A future of `publish` is done when the brokers have confirmed all its records. While they are away it stays
open and the records are tried again for as long as it takes, which is told; a record that can never be
written fails it; a producer that can never write again (a fatal error, a right that is missing) says so once,
and leaves futures open, so that nothing is settled.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import confluent_kafka as ck

from streams.core.refusals import Refusals
from streams.ports import BY_KEY, Outgoing, PublishError, size_of
from streams.producing import LastingProducer

# Delivery reports are collected this often while records are under way; a lone record waits for half of it.
_POLL_S = 0.002
# librdkafka's queue is never filled to the brim, so that a batch is taken whole.
_FILL = 0.9
# A record that a broker refused at once (a topic that is gone, a right that is missing) is not offered again
# sooner: the loop would do nothing else.
_REPEAT_S = 0.1
# A delivery timeout ends thousands of records at once. So long a turn looks into failures and offers records
# again; the loop goes round before it goes on.
_SLICE_S = 0.002
# To be told of a failure takes about a microsecond. So many are taken down before somebody looks into them;
# the others wait in librdkafka.
_FAILURES_MAX = 500
# librdkafka asks for a topic that is gone until the delivery timeout, in silence. A broker that is restarted
# is back sooner.
_UNCONFIRMED_S = 10.0
# Another try may succeed after none of these: the record itself is at fault.
_HOPELESS = frozenset(
    {
        ck.KafkaError.MSG_SIZE_TOO_LARGE,
        ck.KafkaError.INVALID_MSG_SIZE,
        ck.KafkaError.INVALID_RECORD,
        ck.KafkaError._INVALID_ARG,
        ck.KafkaError._UNKNOWN_PARTITION,
    }
)
# The producer was made anew: nobody has refused these.
_PURGED = frozenset({ck.KafkaError._PURGE_QUEUE, ck.KafkaError._PURGE_INFLIGHT})  # noqa: SLF001
_NOT_REFUSED = _PURGED | {ck.KafkaError._QUEUE_FULL}  # noqa: SLF001

# An administrator may give the right; nobody knows when, and meanwhile another worker may have it.
_FORBIDDEN = frozenset({ck.KafkaError.TOPIC_AUTHORIZATION_FAILED, ck.KafkaError.CLUSTER_AUTHORIZATION_FAILED})

log = logging.getLogger(__name__)


class WriteForbidden(Exception):
    """Kafka does not let our user write."""

    def __init__(self, topic: str) -> None:
        where = f"to the topic {topic}" if topic else "to any topic"
        super().__init__(
            f"Kafka does not let our user write {where}: let an administrator give it the right WRITE on "
            f"{'that topic' if topic else 'our topics'}"
        )


_Place = tuple[str, int, bytes | None, bytes | None]


@dataclass(slots=True, eq=False)
class _Flight:
    """One call of `publish` on its way."""

    records: Sequence[Outgoing]
    size_bytes: int
    confirmed: asyncio.Future[Any]
    left: int
    begun_s: float
    offset: int | None = None
    """The highest that was confirmed, where it was asked for: it then begins with -1."""
    failed: list[int] = field(default_factory=list)
    code: str = ""
    alone: set[int] = field(default_factory=set)
    """Positions of which the broker refused a whole batch: they are tried each by itself."""
    refused: set[int] = field(default_factory=set)
    """Positions that a broker did not take, and that are tried again."""
    places: dict[_Place, list[int]] = field(default_factory=dict)
    """Where records stand in the flight, made when the first report of a failure comes."""

    def position_of(self, message: ck.Message, bulk: Sequence[int]) -> int:
        """Which record a failed report speaks of: reports on a bulk carry the message only.

        The bulk says which partition was named; the message, where it came to lie. Of equal records each is
        to fail once, in whatever order.
        """
        if len(bulk) == 1:
            return bulk[0]
        first = self.records[bulk[0]]
        place = (first.topic, first.partition, message.key(), message.value())
        if not self.places.get(place):
            for position in bulk:
                record = self.records[position]
                known = (record.topic, record.partition, record.key, record.value)
                self.places.setdefault(known, []).append(position)
        return self.places[place].pop()

    def stands_at(self, message: ck.Message) -> None:
        """A record was confirmed."""
        if self.offset is not None:
            self.offset = max(self.offset, message.offset() or 0)

    def end(self) -> None:
        """All records came to their end."""
        if self.confirmed.done():
            return
        if self.failed:
            self.confirmed.set_exception(PublishError(self.code, sorted(self.failed)))
        else:
            self.confirmed.set_result(self.offset)


class _Failure(NamedTuple):
    """A report that was taken down, and nobody has looked into yet."""

    flight: _Flight
    bulk: Sequence[int]
    """The positions of those that were handed over together; the message says which of them."""
    error: ck.KafkaError
    message: ck.Message


class _Enough(Exception):
    """Raised out of a report: librdkafka then keeps the others for the next poll."""


class KafkaPublisher:
    """The real one. Lives on one event loop; start nothing, close it at the end."""

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        on_fatal: Callable[[str], None],
        on_forbidden: Callable[[WriteForbidden], None] | None = None,
        on_trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        # For records whose partition is left to their key; librdkafka's own hash agrees with nobody's.
        self._options = {"partitioner": "murmur2_random", **options, "error_cb": self._on_error}
        self._producer = LastingProducer(self._options)
        self._single: LastingProducer | None = None
        self._records_max = int(options.get("queue.buffering.max.messages", 100_000) * _FILL)
        self._bytes_max = int(options.get("queue.buffering.max.kbytes", 1_048_576) * 1_024 * _FILL)
        self._bytes = 0  # Of the flights that have not ended.
        self._flights: dict[_Flight, None] = {}  # Those that have not ended, the oldest first.
        self._refusals = Refusals()
        self._unconfirmed: frozenset[str] = frozenset()  # The topics of which that was told.
        self._on_fatal = on_fatal
        self._on_forbidden = on_forbidden or (lambda missing: on_fatal(str(missing)))
        self._on_trouble = on_trouble
        self._failures: deque[_Failure] = deque()
        self._again: deque[tuple[_Flight, int]] = deque()
        self._repeat_at_s = 0.0
        self._timer: asyncio.Handle | None = None
        self.fatal = ""
        """The reason, once the producer can never write again."""

    def __repr__(self) -> str:
        refused = len(self._again) + len(self._failures)
        return f"<KafkaPublisher | {self._in_flight} in flight, {refused} to repeat>"

    async def room(self, records: int, size_bytes: int) -> None:
        """Wait until so much more fits in the local queue."""
        records_before = self._records_max - min(records, self._records_max)
        bytes_before = self._bytes_max - min(size_bytes, self._bytes_max)
        while self._left > records_before or self._bytes > bytes_before:
            self._poll()
            await asyncio.sleep(_POLL_S)

    def publish(self, records: Sequence[Outgoing]) -> asyncio.Future[None]:
        """Hand records over; the future is done when Kafka has confirmed all."""
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not records:
            confirmed.set_result(None)
            return confirmed
        self._begin(_Flight(records, size_of(records), confirmed, len(records), _now_s()))
        return confirmed

    def place(self, records: Sequence[Outgoing]) -> asyncio.Future[int]:
        """Hand records of one partition over; the future has their highest offset when all are confirmed."""
        placed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._begin(_Flight(records, size_of(records), placed, len(records), _now_s(), offset=-1))
        return placed

    def _begin(self, flight: _Flight) -> None:
        self._flights[flight] = None
        self._bytes += flight.size_bytes
        self._hand_over(flight, range(len(flight.records)))
        self._arm()

    async def close(self, within_s: float) -> int:
        """Give what is under way so much time; how many records were left."""
        deadline = asyncio.get_running_loop().time() + within_s
        while self._left and asyncio.get_running_loop().time() < deadline:
            self._turn()
            await asyncio.sleep(_POLL_S)
        if self._timer:
            self._timer.cancel()
        left = self._left
        for producer in self._producers:
            producer.purge()
        while self._poll():
            # Of what is given up nobody wants to know; what was confirmed in the last moment, is.
            self._failures.clear()
            await asyncio.sleep(0)
        return left

    @property
    def _producers(self) -> tuple[LastingProducer, ...]:
        return (self._producer,) if self._single is None else (self._producer, self._single)

    @property
    def _in_flight(self) -> int:
        return sum(map(len, self._producers))

    @property
    def _left(self) -> int:
        return self._in_flight + len(self._failures) + len(self._again)

    def _poll(self) -> bool:
        """Collect reports; whether failures were left for the next time."""
        is_enough = False
        for producer in self._producers:
            try:
                producer.poll(0)
            except _Enough:
                is_enough = True
            except ck.KafkaException as fatal:
                # Of a fatal error confluent-kafka does not tell `error_cb`: it raises it here.
                self._on_error(fatal.args[0])
        return is_enough

    def _hand_over(self, flight: _Flight, positions: Sequence[int]) -> None:
        """Records with headers go one by one, the others in bulk, which knows no headers.

        One bulk for each partition: confluent-kafka 2.16 drops the partition that a message of a bulk names,
        and librdkafka then partitions by its own hash, without a word.
        """
        records, alone = flight.records, flight.alone
        by_place: dict[tuple[str, int], list[int]] = {}
        topic, partition, bulk = "", BY_KEY, []
        for position in positions:
            record = records[position]
            if record.headers or (alone and position in alone):
                self._produce(flight, position, record)
                continue
            # Most have the place of the one before: to look it up costs as much as to write the record down.
            if record.topic is not topic or record.partition != partition:
                topic, partition = record.topic, record.partition
                bulk = by_place.setdefault((topic, partition), [])
            bulk.append(position)
        for (topic, partition), bulk in by_place.items():
            self._produce_bulk(flight, topic, partition, bulk)

    def _produce(self, flight: _Flight, position: int, record: Outgoing) -> None:
        def report(error: ck.KafkaError | None, message: ck.Message) -> None:
            if error is None:
                flight.stands_at(message)
                self._passed(flight, position)
                self._finish_one(flight)
            else:
                self._take_down(_Failure(flight, (position,), error, message))

        producer = self._one_by_one() if position in flight.alone else self._producer
        try:
            producer.produce(
                record.topic,
                record.value,
                record.key,
                record.partition,
                on_delivery=report,
                headers=list(record.headers),
            )
        except BufferError:
            self._again.append((flight, position))
        except ck.KafkaException as refusal:
            self._failed(flight, position, refusal.args[0])

    def _one_by_one(self) -> LastingProducer:
        """A producer whose batches hold one record each; hardly any worker will ever need it."""
        if self._single is None:
            self._single = LastingProducer({**self._options, "batch.num.messages": 1})
        return self._single

    def _produce_bulk(self, flight: _Flight, topic: str, partition: int, positions: list[int]) -> None:
        messages = [
            {"value": record.value, "key": record.key}
            for record in map(flight.records.__getitem__, positions)
        ]

        is_alone = len(positions) == 1
        wants_offset = flight.offset is not None

        def report(error: ck.KafkaError | None, message: ck.Message) -> None:
            if error is not None:
                self._take_down(_Failure(flight, positions, error, message))
                return
            if wants_offset:
                flight.stands_at(message)
            if is_alone:
                # What is tried again goes alone; who of a bulk was refused before does not show.
                self._passed(flight, positions[0])
            # Called for every record there is: the others of a flight cost no call of their own.
            if flight.left > 1:
                flight.left -= 1
            else:
                self._finish_one(flight)

        if self._producer.produce_batch(topic, messages, partition, on_delivery=report) == len(messages):
            return
        for position, message in zip(positions, messages, strict=True):
            error: Any = message.get("_error")
            if error is not None:
                self._failed(flight, position, error)

    def _take_down(self, failure: _Failure) -> None:
        """Called by librdkafka, which has thousands more of them, perhaps."""
        self._failures.append(failure)
        if len(self._failures) >= _FAILURES_MAX:
            raise _Enough

    def _failed(self, flight: _Flight, position: int, error: ck.KafkaError) -> None:
        """A record was not taken: it is hopeless, or to be tried again."""
        if error.code() == ck.KafkaError.MSG_SIZE_TOO_LARGE and position not in flight.alone:
            # A broker refuses a batch whole, for one record or for all together.
            flight.alone.add(position)
            self._again.append((flight, position))
        elif error.code() in _HOPELESS:
            flight.failed.append(position)
            flight.code = error.name().lower()
            self._passed(flight, position)
            self._finish_one(flight)
        elif error.code() in _FORBIDDEN:
            self._forbid(flight.records[position].topic)
        elif not error.fatal() and error.code() != ck.KafkaError._FATAL:
            self._again.append((flight, position))
            if error.code() not in _NOT_REFUSED:
                self._repeat_at_s = asyncio.get_running_loop().time() + _REPEAT_S
                self._refused(flight, position, error.name())

    def _refused(self, flight: _Flight, position: int, error: str) -> None:
        is_first = position not in flight.refused
        flight.refused.add(position)
        topic = flight.records[position].topic
        if sentence := self._refusals.refused(topic, error, is_first=is_first):
            self._tell(sentence)

    def _passed(self, flight: _Flight, position: int) -> None:
        """A record came to its end, and may have been refused before."""
        if position in flight.refused:
            flight.refused.remove(position)
            if sentence := self._refusals.ended(flight.records[position].topic):
                log.warning(sentence)

    def _forbid(self, topic: str) -> None:
        """What is under way there stays open, and settles nothing: who may not write is at his end."""
        if not self.fatal:
            missing = WriteForbidden(topic)
            self.fatal = str(missing)
            self._on_forbidden(missing)

    def _tell(self, sentence: str) -> None:
        log.warning(sentence)
        self._on_trouble(sentence)

    def _look_at_the_oldest(self) -> None:
        """Tell once of what nobody has confirmed for long, and once when all that is older than that is."""
        before_s = asyncio.get_running_loop().time() - _UNCONFIRMED_S
        oldest = next(iter(self._flights), None)
        if oldest is None or oldest.begun_s > before_s:
            if self._unconfirmed:
                log.warning("%s: confirmed again", ", ".join(sorted(self._unconfirmed)))
            self._unconfirmed = frozenset()
            return
        known = self._unconfirmed | self._refusals.topics
        if topics := frozenset(record.topic for record in oldest.records) - known:
            self._unconfirmed |= topics
            self._tell(
                f"{', '.join(sorted(topics))}: what was written was not confirmed for {_UNCONFIRMED_S:g} s; "
                "see that the topic exists and its brokers run"
            )

    def _finish_one(self, flight: _Flight) -> None:
        """One record of a flight came to its end."""
        flight.left -= 1
        if not flight.left:
            for position in tuple(flight.refused):
                self._passed(flight, position)
            self._bytes -= flight.size_bytes
            del self._flights[flight]
            flight.end()

    def _on_error(self, error: ck.KafkaError) -> None:
        """What librdkafka complains of: brokers that are away come back; fatal is for ever."""
        if error.code() in _FORBIDDEN:
            self._forbid("")
        elif error.code() == ck.KafkaError._FATAL or error.fatal():
            self.fatal = self.fatal or error.str()
            self._on_fatal(self.fatal)

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_POLL_S, self._tick)

    def _tick(self) -> None:
        self._timer = None
        has_more = False
        try:
            has_more = self._turn()
            self._look_at_the_oldest()
        finally:
            if has_more:
                self._timer = asyncio.get_running_loop().call_soon(self._tick)
            elif self._left:
                self._arm()

    def _turn(self) -> bool:
        """Collect reports, and give refused records another try; whether there is more of that to do."""
        until_s = time.monotonic() + _SLICE_S
        self._poll()
        return self._look_into_failures(until_s) or self._offer_again(until_s)

    def _look_into_failures(self, until_s: float) -> bool:
        """See what becomes of the records; whether the time is over."""
        while self._failures:
            flight, bulk, error, message = self._failures.popleft()
            self._failed(flight, flight.position_of(message, bulk), error)
            if time.monotonic() >= until_s:
                return True
        return False

    def _offer_again(self, until_s: float) -> bool:
        """Give refused records another try while there is room; whether the time is over."""
        if asyncio.get_running_loop().time() < self._repeat_at_s:
            return False
        for _ in range(min(len(self._again), max(0, self._records_max - self._in_flight))):
            flight, position = self._again.popleft()
            left = len(self._again)
            self._hand_over(flight, (position,))
            if len(self._again) > left:
                # It came back at once: the queue is full of bytes, and the next would come back, too.
                return False
            if time.monotonic() >= until_s:
                return True
        return False


def _now_s() -> float:
    return asyncio.get_running_loop().time()


class MemoryPublisher:
    """Keeps what is published, in order. Records of a topic in `refused` can never be written."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []
        self.refused: set[str] = set()

    async def room(self, records: int, size_bytes: int) -> None:
        """There is always room."""

    def publish(self, records: Sequence[Outgoing]) -> asyncio.Future[None]:
        """Keep the records."""
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        failed = [position for position, record in enumerate(records) if record.topic in self.refused]
        self.records.extend(record for record in records if record.topic not in self.refused)
        if failed:
            confirmed.set_exception(PublishError("msg_size_too_large", failed))
        else:
            confirmed.set_result(None)
        return confirmed

    def place(self, records: Sequence[Outgoing]) -> asyncio.Future[int]:
        """Keep records of one partition; offsets count what stands there."""
        placed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        confirmed = self.publish(records)
        if (refusal := confirmed.exception()) is not None:
            placed.set_exception(refusal)
        else:
            place = (records[-1].topic, records[-1].partition)
            placed.set_result(sum((one.topic, one.partition) == place for one in self.records) - 1)
        return placed
