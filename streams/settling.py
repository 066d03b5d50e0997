"""From confirmed to settled: what became of a record is published, and only then is the record settled.

Where Kafka refuses what we publish for good (too large, most likely), the record becomes a dead letter; where it
refuses even that, a dead letter without the payload says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from streams.dead_lettering import DeadLetters
from streams.observing import Tally
from streams.partitions import Batch
from streams.ports import Outgoing, Publisher, PublishError, Record


class Settling:
    """Publishes for one stage, and settles."""

    def __init__(self, publisher: Publisher, dead_letters: DeadLetters, tally: Tally) -> None:
        self._publisher = publisher
        self._dead_letters = dead_letters
        self._tally = tally

    async def room(self, records: int) -> None:
        """Wait until the publisher can take so many."""
        await self._publisher.room(records)

    def settle_batch(self, batch: Batch, outgoing: Sequence[Outgoing]) -> None:
        """Publish one record for each of the batch; settle the batch when all are confirmed."""
        self._publish(batch.records, outgoing, batch.settle_all)

    def settle_one(self, batch: Batch, record: Record, outgoing: Outgoing) -> None:
        """Publish what became of one record; settle it when that is confirmed."""
        self._publish((record,), (outgoing,), lambda: batch.settle(record.offset))

    def _publish(
        self, records: Sequence[Record], outgoing: Sequence[Outgoing], settle: Callable[[], None]
    ) -> None:
        def ended(confirmed: asyncio.Future[None]) -> None:
            if confirmed.cancelled():
                return
            match confirmed.exception():
                case None:
                    settle()
                case PublishError() as refusal:
                    self._bury([records[position] for position in refusal.failed], refusal.code, settle)
                case unexpected:
                    raise unexpected

        self._publisher.publish(outgoing).add_done_callback(ended)

    def _bury(self, records: Sequence[Record], code: str, settle: Callable[[], None]) -> None:
        """The verdict or pending record was refused for good: the original becomes a dead letter."""

        def ended(confirmed: asyncio.Future[None]) -> None:
            if not confirmed.cancelled() and isinstance(confirmed.exception(), PublishError):
                self._tally.error("dead letters were refused; they were written without their payload")
                letters = [self._letter(record, code, with_payload=False) for record in records]
                self._publisher.publish(letters).add_done_callback(lambda _: settle())
            else:
                settle()

        for _ in records:
            self._tally.dead_letter(self._dead_letters.stage, code)
        letters = [self._letter(record, code, with_payload=True) for record in records]
        self._publisher.publish(letters).add_done_callback(ended)

    def _letter(self, record: Record, code: str, *, with_payload: bool) -> Outgoing:
        return self._dead_letters.of(record, code=code, detail="Kafka refused it", with_payload=with_payload)
