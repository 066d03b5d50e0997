"""Whether what a fetch brought follows on what came before it, and what to do where it does not.

A hole in the offsets may be compaction's or a transaction's; or records are gone, or went astray between the
broker and us. What aiokafka cannot read is read by another client. Who delivers is `transport`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiokafka
from faust.transport.consumer import RecordMap
from faust.types import TP

from streams.fetching import BatchConsumerThread
from streams.partitions import OwnedPartition, Partitions, TopicPartition
from streams.rescuing import AT_ONCE, Rescuer

log = logging.getLogger(__name__)


class PositionLost(Exception):
    """The broker no longer holds what comes next: records were deleted before they were settled.

    `earliest` is what it holds instead; below `expected`, the topic was made anew.
    """

    def __init__(self, tp: TopicPartition, *, expected: int, earliest: int) -> None:
        where = f"{tp.topic}/{tp.partition}"
        if earliest > expected:
            super().__init__(f"{where}: {earliest - expected} records from {expected} on are gone")
        else:
            super().__init__(f"{where}: it was made anew; {expected} was next, and it begins at {earliest}")
        self.missed = max(0, earliest - expected)


class Continuity:
    """Looks after the order of what is delivered, of all partitions of one stage."""

    def __init__(self, partitions: Partitions, rescuer: Rescuer, thread: BatchConsumerThread) -> None:
        self._partitions = partitions
        self._rescuer = rescuer
        self.thread = thread

    async def continues(self, tp: TopicPartition, offset: int) -> bool:
        """Whether records that begin here follow on what came before them.

        Where they do not, the broker's own start tells what it has deleted, and another look brings back what
        went astray. If it does not, somebody else looks.
        """
        owned = self._partitions.owned.get(tp)
        if owned is None or owned.expected is None:
            return True
        if owned.committed is not None and offset < owned.committed:
            raise PositionLost(tp, expected=owned.expected, earliest=offset)
        if offset <= owned.expected:
            return True
        where = aiokafka.TopicPartition(*tp)
        earliest = next(iter((await self.thread.earliest_offsets(where)).values()))
        if earliest > owned.expected:
            raise PositionLost(tp, expected=owned.expected, earliest=earliest)
        if owned.looked_again_at == owned.expected:
            if await self._is_hole(tp, owned.expected, offset):
                return True
            _complain(
                owned,
                owned.expected,
                "records were skipped, and no other client confirms the hole; looking again",
            )
        owned.looked_again_at = owned.expected
        await self._look_again(tp, owned.expected)
        return False

    async def rescued(self) -> RecordMap:
        """The next records of partitions that hold one which aiokafka cannot read, by another way."""
        found: dict[TP, list[Any]] = {}
        while self.thread.unreadable:
            tp = self.thread.unreadable.pop()
            owned = self._partitions.owned.get(tp)
            if owned is None:
                continue
            records = await asyncio.to_thread(self._rescuer.read, *tp, owned.expected, AT_ONCE)
            if not records:
                _complain(
                    owned,
                    owned.expected,
                    "aiokafka cannot read it, and another client got no answer; trying again",
                )
            # Where nobody answered, the same fetch fails once more and brings us here again.
            await self._look_again(tp, records[-1].offset + 1 if records else owned.expected or 0)
            found[TP(*tp)] = list(records)
        return {tp: records for tp, records in found.items() if records}

    async def _is_hole(self, tp: TopicPartition, begin: int, end: int) -> bool:
        """Whether there is no record between the two, as another client sees it."""
        found = await asyncio.to_thread(self._rescuer.read, *tp, begin, 1)
        return bool(found) and found[0].offset >= end

    async def _look_again(self, tp: TopicPartition, offset: int) -> None:
        await self.thread.call_thread(self.thread.look_again, aiokafka.TopicPartition(*tp), offset)


def _complain(owned: OwnedPartition, offset: int | None, sentence: str) -> None:
    """Say once of each offset what is tried there again and again."""
    if sentence in owned.complained_at and owned.complained_at[sentence] == offset:
        return
    owned.complained_at[sentence] = offset
    where = "its beginning" if offset is None else offset
    log.warning("%s/%d at %s: %s", *owned.tp, where, sentence)
