"""How long the partitions of a stage have stood still, and for which cause.

The watchdog asks, twice a second; what is too long, and what is told, is decided in `core.watching`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from streams.core.watching import Cause, Standing
from streams.partitions import OwnedPartition, Partitions, Reading, TopicPartition

ASK_AFTER_MS = 60_000.0
"""Whatever is unread for a minute is not just on its way."""


@dataclass(slots=True)
class _Behind:
    """A partition that goes on beyond what was read of it."""

    position: int
    since_ms: float
    ask_from_ms: float
    """When somebody should look how old its first record is."""
    written_at_ms: float | None = None
    """Of the first record there, once somebody has looked."""


class Lookout:
    """Looks at one stage's partitions, again and again."""

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions
        # Kept over rebalances: at the same position it is the same record that waits.
        self._behind: dict[TopicPartition, _Behind] = {}

    def __repr__(self) -> str:
        return f"<Lookout over {self._partitions!r} | {len(self._behind)} behind>"

    def look(self, *, without_nodes: bool = False) -> Iterator[tuple[TopicPartition, Standing]]:
        """How each partition stands that has something unsettled, or unread.

        `without_nodes`: what this stage asks is taken by nobody. Since when records are unread is known from
        the looks at it: it must be asked often.
        """
        partitions = self._partitions
        now_ms, wall_ms = partitions.clock.now_ms(), partitions.clock.wall_ms()
        by_nodes: Cause | None = "nodes" if without_nodes else None
        over_bounds = partitions.over_bounds() | partitions.left_out
        for tp, owned in partitions.owned.items():
            # Asked of all: what is unread now is so since now, even while something else is unsettled.
            reading = self._unread(owned, now_ms)
            if head := owned.watermark.head:
                still_ms = _still_ms(owned, now_ms, head.fetched_at_ms, by_nodes)
                age_ms = wall_ms - head.written_at_ms
                yield tp, Standing(owned.watermark.unsettled, still_ms, age_ms, cause=by_nodes)
            elif reading:
                cause = self._cause(tp, over_bounds) or by_nodes
                behind = self._behind[tp]
                still_ms = _still_ms(owned, now_ms, behind.since_ms, cause)
                written_at_ms = behind.written_at_ms
                age_ms = now_ms - behind.since_ms if written_at_ms is None else wall_ms - written_at_ms
                yield tp, Standing(0, still_ms, age_ms, reading.end - reading.position, cause)

    def without_age(self) -> Iterator[tuple[TopicPartition, int]]:
        """Where somebody should look how old the first unread record is: it has waited here for a while."""
        now_ms = self._partitions.clock.now_ms()
        for tp, behind in self._behind.items():
            if behind.written_at_ms is None and now_ms > behind.ask_from_ms:
                yield tp, behind.position

    def learn_age(self, tp: TopicPartition, position: int, written_at_ms: float | None) -> None:
        """When the record was written that is the first unread one at this position; None: nobody knows.

        Only markers may stand there, of transactions or of compaction: it is asked ever more seldom.
        """
        behind = self._behind.get(tp)
        if behind and behind.position == position:
            behind.written_at_ms = written_at_ms
            now_ms = self._partitions.clock.now_ms()
            behind.ask_from_ms = now_ms + (now_ms - behind.since_ms)

    def _cause(self, tp: TopicPartition, over_bounds: Collection[TopicPartition]) -> Cause | None:
        if tp.topic in self._partitions.paused:
            return "paused"
        if self._partitions.is_kept_waiting(tp):
            return "memory"
        return "bounds" if tp in over_bounds else None

    def _unread(self, owned: OwnedPartition, now_ms: float) -> Reading | None:
        """What is unread of a partition, if anything is; since when it has waited so is noted."""
        reading = self._partitions.reading(owned.tp)
        if reading and owned.looked_again_at is not None and owned.looked_again_at == owned.expected:
            # What came after a hole was read and thrown away, and the hole is asked for once more.
            reading = Reading(min(reading.position, owned.expected), reading.end)
        if reading is None or reading.end <= reading.position:
            # Where nothing is known there is nothing to be forgotten either.
            if reading:
                self._behind.pop(owned.tp, None)
            return None
        known = self._behind.get(owned.tp)
        if known is None or known.position != reading.position:
            self._behind[owned.tp] = _Behind(reading.position, now_ms, now_ms + ASK_AFTER_MS)
        return reading


def _still_ms(owned: OwnedPartition, now_ms: float, since_ms: float, cause: Cause | None) -> float:
    """How long a partition stands, for a cause or for none."""
    if cause:
        owned.excused_at_ms = now_ms
    if cause == "paused":
        owned.paused_at_ms = now_ms
    excused_at_ms = owned.paused_at_ms if cause else owned.excused_at_ms
    return now_ms - max(owned.watermark.moved_at_ms, since_ms, excused_at_ms)
