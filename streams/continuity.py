"""Whether what a fetch brought follows on what came before it, and what to do where it does not.

A hole in the offsets may be compaction's or a transaction's; or something went astray between the broker and
us. A position that the broker has not is a loss, and said so. What aiokafka cannot read is read by another
client. Who delivers is `transport`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Set as AbstractSet

from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from streams.fetching import BatchConsumerThread, Taken
from streams.partitions import OwnedPartition, Partitions, TopicPartition
from streams.rescuing import AT_ONCE, Rescuer

# A broker that is away is asked so often for what it holds.
_ASK_AGAIN_S = 1.0

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
    """Looks after the order of what is delivered, of all partitions of one stage.

    What takes a while is done beside the delivery of others: a partition that is being mended is left out of
    fetches.
    """

    def __init__(self, partitions: Partitions, rescuer: Rescuer, thread: BatchConsumerThread) -> None:
        self._partitions = partitions
        self._rescuer = rescuer
        self.thread = thread
        self._mending: dict[TopicPartition, asyncio.Task[Taken | None]] = {}

    def __repr__(self) -> str:
        return f"<Continuity | {len(self._mending)} being mended>"

    async def continues(self, tp: TopicPartition, taken: Taken) -> bool:
        """Whether records follow on what came before them.

        Where offsets are missing within what one read went over, the log has none there: compaction, or a
        transaction's marker. Where the read began beyond what we expect, something went astray between the
        broker and us, and is fetched once more.
        """
        owned = self._partitions.owned.get(tp)
        if owned is None or owned.expected is None:
            return True
        first = taken.records[0].offset if taken.records else taken.ended
        if owned.committed is not None and first < owned.committed:
            raise self._lost(tp, owned.expected, first)
        if taken.began <= owned.expected:
            return True
        if owned.looked_again_at == owned.expected:
            _complain(owned, "records were skipped once more; looking again")
        owned.looked_again_at = owned.expected
        await self.thread.aside(self.thread.seek_to, tp, owned.expected)
        return False

    @property
    def mending(self) -> AbstractSet[TopicPartition]:
        """What is to be left out of fetches."""
        return self._mending.keys()

    def mend(self) -> None:
        """Begin with what the last fetch met."""
        while self.thread.troubled:
            tp, trouble = self.thread.troubled.popitem()
            owned = self._partitions.owned.get(tp)
            if owned is None or tp in self._mending:
                continue
            mending = self._rescued(owned) if trouble == "unreadable" else self._placed(owned)
            self._mending[tp] = task = asyncio.ensure_future(mending)
            # Whoever waits for records looks again.
            task.add_done_callback(lambda _: self._partitions.progress.set())

    def mended(self) -> dict[TopicPartition, Taken]:
        """What was read by another way; raises `PositionLost` where there is nothing to be mended."""
        ended = {tp: task for tp, task in self._mending.items() if task.done()}
        for tp in ended:
            del self._mending[tp]
        return {tp: taken for tp, task in ended.items() if (taken := task.result()) is not None}

    def forget(self) -> None:
        """The partitions go: what is being mended is somebody else's."""
        for task in self._mending.values():
            task.cancel()
        self._mending.clear()
        self.thread.troubled.clear()

    async def _rescued(self, owned: OwnedPartition) -> Taken | None:
        """The next records of a partition that holds one which aiokafka cannot read."""
        expected = owned.expected
        records = await asyncio.to_thread(self._rescuer.read, *owned.tp, expected, AT_ONCE)
        if records:
            ended = records[-1].offset + 1
            await self._go(owned, ended)
            return Taken(records[0].offset if expected is None else expected, records, ended)
        # The same fetch fails once more, and brings us here again; or there is no such place any more.
        _complain(owned, "aiokafka cannot read it, and another client got no answer; trying again")
        await self._placed(owned)
        return None

    async def _placed(self, owned: OwnedPartition) -> None:
        """Find out whether the broker holds what comes next, and go there."""
        tp, expected = owned.tp, owned.expected
        while True:
            try:
                first, end = await self.thread.aside(self.thread.range_of, tp)
                break
            except TopicAuthorizationFailedError:
                # Asking again would not bring the right.
                raise
            except KafkaError as trouble:
                # A broker that is away. Nothing would come of the partition in any case until it is back.
                _complain(owned, f"no broker says what it holds ({type(trouble).__name__}); asking again")
                await asyncio.sleep(_ASK_AGAIN_S)
        if expected is not None and not first <= expected <= end:
            raise self._lost(tp, expected, first)
        await self._go(owned, first if expected is None else expected)

    def _lost(self, tp: TopicPartition, expected: int, earliest: int) -> PositionLost:
        """A loss, counted."""
        lost = PositionLost(tp, expected=expected, earliest=earliest)
        self._partitions.counts.missed += lost.missed
        return lost

    async def _go(self, owned: OwnedPartition, offset: int) -> None:
        # Another object after a rebalance, though it may be the same partition.
        if self._partitions.owned.get(owned.tp) is owned:
            await self.thread.aside(self.thread.seek_to, owned.tp, offset)


def _complain(owned: OwnedPartition, sentence: str) -> None:
    """Say once of each offset what is tried there again and again."""
    offset = owned.expected
    if sentence in owned.complained_at and owned.complained_at[sentence] == offset:
        return
    owned.complained_at[sentence] = offset
    where = "its beginning" if offset is None else offset
    log.warning("%s/%d at %s: %s", *owned.tp, where, sentence)
