"""The book of a stage's partitions: what was handed out of each, what is settled, what may be committed.

The transport writes fetched records in and reads commits out; agents see `Batch`es only. Nothing here does
I/O.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from streams.core.flooding import FloodMeter
from streams.core.pressure import Bounds, Load, held
from streams.core.watermark import Span, Watermark
from streams.observing import PartitionStatus, StageStatus
from streams.ports import Clock, Record, kept_bytes


class TopicPartition(NamedTuple):
    """One partition; equal to the tuples of Faust and aiokafka."""

    topic: str
    partition: int


class Reading(NamedTuple):
    """How far a partition was read, and how far it goes."""

    position: int
    """What the next fetch begins with; markers of transactions, which nobody is handed, are read too."""
    end: int


@dataclass(slots=True)
class OwnedPartition:
    """One partition while it is assigned to us. After a rebalance the same partition is another object."""

    tp: TopicPartition
    urgency: int
    watermark: Watermark
    committed: int | None = None
    is_open: bool = True
    looked_again_at: int | None = None
    """The offset before which a hole was found and looked at a second time."""
    paused_at_ms: float = -math.inf
    """When it was last seen to stand by an operator's order."""
    excused_at_ms: float = -math.inf
    """When it was last seen to stand for any cause that is known."""
    complained_at: dict[str, int | None] = field(default_factory=dict)
    """Of which offset each complaint was last told."""
    meter: FloodMeter = field(default_factory=FloodMeter)
    """How much authors write here; whoever owns the partition next begins anew."""

    @property
    def expected(self) -> int | None:
        """The offset that the next fetch should begin with, as far as we know."""
        return self.committed if self.watermark.next_offset is None else self.watermark.next_offset


class Batch:
    """What a fetch brought of one partition: an agent gets it as one event, and settles all or some of it.

    Settling after the partition was given away changes nothing: whoever owns it now gets the records again.
    """

    __slots__ = ("_book", "_owned", "_span", "is_whole", "records")

    def __init__(
        self, book: Partitions, owned: OwnedPartition, span: Span, records: Sequence[Record]
    ) -> None:
        self._book = book
        self._owned = owned
        self._span = span
        self.records = records
        self.is_whole = len(records) == len(span.offsets)

    def __repr__(self) -> str:
        return f"<Batch {self.topic}/{self.partition} | {self._span!r}>"

    @property
    def topic(self) -> str:
        """Where the records come from."""
        return self._owned.tp.topic

    @property
    def partition(self) -> int:
        """Where the records come from."""
        return self._owned.tp.partition

    @property
    def size_bytes(self) -> int:
        """What the records take in memory, nearly."""
        return self._span.size_bytes

    @property
    def meter(self) -> FloodMeter:
        """The counts of authors, kept as long as the partition is ours."""
        return self._owned.meter

    @property
    def is_wanted(self) -> bool:
        """Whether work on it should begin: the partition is ours and will stay so."""
        return self._owned.is_open and not self._book.is_draining

    def take(self) -> bool:
        """Begin to work on it; False if it was given up, or its partition given away, while it waited."""
        return self._book.take(self._owned, self._span)

    def part(self, records: Sequence[Record]) -> Batch:
        """Some of its records as a batch of their own, settled by the same book."""
        return Batch(self._book, self._owned, self._span, records)

    def settle_all(self) -> None:
        """What became of all the records is safe in Kafka."""
        if self.is_whole:
            self._book.settle_all(self._owned, self._span)
            return
        for record in self.records:
            self.settle(record.offset)

    def settle(self, offset: int) -> None:
        """What became of this record is safe in Kafka."""
        self._book.settle(self._owned, self._span, offset)

    def abandon(self, offsets: Iterable[int]) -> None:
        """Give records up unsettled, because a drain has begun: they will be delivered again."""
        self._span.abandon(offsets)
        self._book.progress.set()


@dataclass(slots=True)
class Counts:
    """What happened since the start."""

    settled: int = 0
    commits: int = 0
    commit_failures: int = 0
    redelivered: int = 0
    """Records that this process was handed before: after a rebalance, or a second look at a hole."""
    holds: int = 0
    """How often a partition was held."""
    rebalances: int = 0
    rebalance_ms: float = 0.0
    """All of them together, from the moment in which work was to end to the new assignment."""
    rebalance_last_ms: float = 0.0
    failures: int = 0
    """How often the stage itself raised at a record."""
    backoffs: int = 0
    """How often it paused before it tried such records again."""
    condemned: int = 0
    """Records that became dead letters for that."""
    missed: int = 0
    """Offsets that were deleted before anybody read them: the worker stops for that."""


@dataclass(slots=True)
class Partitions:
    """All partitions of one stage."""

    stage: str
    group: str
    clock: Clock
    bounds: Callable[[], Bounds]
    urgency_of: Callable[[str], int]
    paused: frozenset[str] = frozenset()
    """Topics that an operator has paused."""
    commit_records_max: int = 20_000
    """So many settled records are committed before the timer says so: a crash repeats no more of them."""
    counts: Counts = field(default_factory=Counts)
    progress: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever something was taken, settled, abandoned or released."""
    commit_due: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when `commit_records_max` are settled and not committed."""
    on_drain: list[Callable[[], None]] = field(default_factory=list)
    """Called when a drain begins: give up what was not begun."""
    on_open: list[Callable[[AbstractSet[int]], None]] = field(default_factory=list)
    """Called with the numbers of the partitions that are ours from now on."""
    owned: dict[TopicPartition, OwnedPartition] = field(default_factory=dict)
    is_draining: bool = False
    """From the beginning of a drain until the partitions are let go: no work begins."""
    is_kept_waiting: Callable[[TopicPartition], bool] = lambda _: False
    """Whether the stage wants nothing more of a partition for now."""
    away_ms: Callable[[], float] = lambda: 0.0
    """For how long no broker has answered; the transport knows."""
    crowded: Callable[[], frozenset[int]] = frozenset
    """The urgencies of which enough waits in the lanes; the dispatch knows."""
    reading_of: Callable[[TopicPartition], Reading | None] = lambda _: None
    """How far a partition goes, as the last fetch told, and how far it was read; the transport knows."""
    ends: dict[TopicPartition, int] = field(default_factory=dict)
    """How far those go that are held: no fetch tells, so Kafka is asked now and again (`infra.ends`)."""
    _waiting: dict[int, Span] = field(default_factory=dict)  # Spans that no agent took yet, by identity.
    _uncommitted: int = 0  # Records settled since the last commit began.
    _seen: dict[TopicPartition, int] = field(default_factory=dict)  # Where what was handed out ends.
    _held: set[TopicPartition] = field(default_factory=set)  # What the last fetch left out.
    _rebalance_began_ms: float | None = None

    def __repr__(self) -> str:
        unsettled = sum(owned.watermark.unsettled for owned in self.owned.values())
        return f"<Partitions of {self.stage} | {len(self.owned)} owned, {unsettled} unsettled>"

    # -- ownership ------------------------------------------------------------------------------------------

    def open(self, tps: Iterable[tuple[str, int]]) -> None:
        """Begin afresh with these partitions."""
        self.close()
        now_ms = self.clock.now_ms()
        for topic, partition in tps:
            tp = TopicPartition(topic, partition)
            self.owned[tp] = OwnedPartition(tp, self.urgency_of(topic), Watermark(at_ms=now_ms))
        for own in self.on_open:
            own({tp.partition for tp in self.owned})

    def close(self) -> None:
        """Let go of all partitions; batches still in somebody's hands become powerless."""
        for owned in self.owned.values():
            owned.is_open = False
        self.owned.clear()
        self._waiting.clear()
        self._held.clear()
        self._uncommitted = 0
        self.is_draining = False
        self.progress.set()

    def rebalance_began(self) -> None:
        """The group is cut anew: work is to end."""
        if self._rebalance_began_ms is None:
            self._rebalance_began_ms = self.clock.now_ms()

    def rebalance_ended(self) -> None:
        """The group is whole again, and these partitions are ours."""
        if self._rebalance_began_ms is not None:
            self.counts.rebalance_last_ms = self.clock.now_ms() - self._rebalance_began_ms
            self.counts.rebalance_ms += self.counts.rebalance_last_ms
            self._rebalance_began_ms = None
        self.counts.rebalances += 1

    # -- records --------------------------------------------------------------------------------------------

    def fetched(self, tp: tuple[str, int], records: Sequence[Record]) -> Batch | None:
        """Register what a fetch brought; None if all of it was here before or the partition is not ours."""
        owned = self.owned.get(TopicPartition(*tp))
        if owned is None or not records or self.is_draining:
            return None
        offsets = [record.offset for record in records]
        self._count_redelivered(owned.tp, offsets)
        if first := owned.watermark.unseen(offsets):
            offsets, records = offsets[first:], records[first:]
            if not offsets:
                return None
        span = owned.watermark.fetched(
            offsets,
            size_bytes=kept_bytes(records),
            at_ms=self.clock.now_ms(),
            written_at_ms=records[0].timestamp,
        )
        self._waiting[id(span)] = span
        return Batch(self, owned, span, records)

    def read_over(self, tp: TopicPartition, offset: int) -> None:
        """A read went on to this offset, and everything it brought was registered.

        Markers of transactions stand there, and are committed as if they were records: when all before them
        is deleted one day, nobody is to miss them.
        """
        owned = self.owned.get(tp)
        if owned is not None and not self.is_draining:
            owned.watermark.read_over(offset)

    def _count_redelivered(self, tp: TopicPartition, offsets: Sequence[int]) -> None:
        seen = self._seen.get(tp, 0)
        if offsets[0] < seen:
            self.counts.redelivered += bisect_left(offsets, seen)
        self._seen[tp] = max(seen, offsets[-1] + 1)

    def take(self, owned: OwnedPartition, span: Span) -> bool:
        """An agent begins with a span."""
        was_waiting = self._waiting.pop(id(span), None) is not None
        self.progress.set()
        return was_waiting and owned.is_open

    def settle_all(self, owned: OwnedPartition, span: Span) -> None:
        """See `Batch.settle_all`."""
        if owned.is_open:
            settled = span.left
            owned.watermark.settle_all(span, at_ms=self.clock.now_ms())
            self._settled(settled)

    def settle(self, owned: OwnedPartition, span: Span, offset: int) -> None:
        """See `Batch.settle`."""
        if owned.is_open:
            self._settled(owned.watermark.settle(span, offset, at_ms=self.clock.now_ms()))

    def _settled(self, records: int) -> None:
        self.counts.settled += records
        self._uncommitted += records
        if self._uncommitted >= self.commit_records_max:
            self.commit_due.set()
        self.progress.set()

    @property
    def waiting(self) -> int:
        """Batches that were handed over and not taken yet."""
        return len(self._waiting)

    # -- flow -----------------------------------------------------------------------------------------------

    def pause(self, topics: frozenset[str]) -> None:
        """An operator's order: take in nothing of these topics."""
        self.paused = topics
        self.progress.set()

    def held(self) -> set[TopicPartition]:
        """The partitions to leave out of the next fetch."""
        return self.over_bounds() | {
            tp for tp in self.owned if tp.topic in self.paused or self.is_kept_waiting(tp)
        }

    def hold(self) -> set[TopicPartition]:
        """The same for a fetch that begins now; counts those that the last one did not leave out."""
        held_now = self.held()
        self.counts.holds += len(held_now - self._held)
        self._held = held_now
        return held_now

    def over_bounds(self) -> set[TopicPartition]:
        """Those of which enough is unsettled, or that give way to more urgent ones."""
        crowded = self.crowded()
        return held(
            (
                Load(tp, owned.urgency, owned.watermark.unsettled, owned.watermark.unsettled_bytes)
                for tp, owned in self.owned.items()
            ),
            self.bounds(),
        ) | {tp for tp, owned in self.owned.items() if owned.urgency in crowded}

    @property
    def left_out(self) -> frozenset[TopicPartition]:
        """What the last fetch left out."""
        return frozenset(self._held)

    def reading(self, tp: TopicPartition) -> Reading | None:
        """How far an owned partition was read and goes, by its fetches, and by what Kafka was asked."""
        reading, end = self.reading_of(tp), self.ends.get(tp)
        if end is None:
            return reading
        if reading is None:
            # No fetch was ever answered: it stands by order since before the start.
            return Reading(self.owned[tp].expected or 0, end)
        return Reading(reading.position, max(reading.end, end))

    # -- drain and commit -----------------------------------------------------------------------------------

    def begin_drain(self) -> None:
        """Give up what nobody began with; agents are told to do the same with what they hold."""
        self.is_draining = True
        for span in self._waiting.values():
            span.abandon(span.offsets)
        self._waiting.clear()
        for give_up in self.on_drain:
            give_up()

    @property
    def awaited(self) -> int:
        """Records that a drain waits for."""
        return sum(owned.watermark.awaited for owned in self.owned.values())

    def committable(self) -> dict[TopicPartition, int]:
        """The watermarks that have moved since they were committed."""
        return {
            tp: position
            for tp, owned in self.owned.items()
            if (position := owned.watermark.position) is not None and position != owned.committed
        }

    def commit_began(self) -> None:
        """What is settled from here on waits for the next commit, whatever becomes of this one."""
        self._uncommitted = 0
        self.commit_due.clear()

    def committed(
        self, offsets: Mapping[TopicPartition, int], owned: Mapping[TopicPartition, OwnedPartition]
    ) -> None:
        """The group's coordinator has taken these offsets, of what was `owned` when it was asked."""
        self.counts.commits += 1
        for tp, offset in offsets.items():
            owned[tp].committed = offset

    def known_committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """The coordinator said where the group stands."""
        for tp, offset in offsets.items():
            if owned := self.owned.get(tp):
                owned.committed = offset

    # -- what it says of itself -----------------------------------------------------------------------------

    def status(self) -> StageStatus:
        """A picture of now."""
        held_now = self.held()
        return StageStatus(
            stage=self.stage,
            group=self.group,
            partitions=tuple(
                self._status_of(owned, is_held=tp in held_now) for tp, owned in self.owned.items()
            ),
            away_ms=self.away_ms(),
            **asdict(self.counts),
        )

    def partition_status(self, tp: TopicPartition) -> PartitionStatus:
        """A picture of one partition now."""
        return self._status_of(self.owned[tp], is_held=tp in self.held())

    def _status_of(self, owned: OwnedPartition, *, is_held: bool) -> PartitionStatus:
        watermark = owned.watermark
        position = watermark.position if watermark.position is not None else owned.committed
        head = watermark.head
        reading = self.reading(owned.tp)
        return PartitionStatus(
            topic=owned.tp.topic,
            partition=owned.tp.partition,
            watermark=-1 if position is None else position,
            unsettled=watermark.unsettled,
            oldest_ms=0.0 if head is None else self.clock.now_ms() - head.fetched_at_ms,
            lag=0 if reading is None else max(0, reading.end - (position or 0)),
            held=is_held,
        )
