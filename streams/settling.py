"""From confirmed to settled: what became of a record is published, and only then is the record settled.

Where Kafka refuses what we publish for good (too large, most likely), the record becomes a dead letter; where
it refuses even that, one without payload, key and headers says so. What raises here raises in a callback of
the loop: a bug, for which the worker stops (`infra.mishaps`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from streams.dead_lettering import DeadLetters
from streams.observing import Tally
from streams.partitions import Batch
from streams.ports import Outgoing, Publisher, PublishError, Record

_DETAIL = "Kafka refused what it led to"


class Settling:
    """Publishes for one stage, and settles."""

    def __init__(self, publisher: Publisher, dead_letters: DeadLetters, tally: Tally) -> None:
        self._publisher = publisher
        self._dead_letters = dead_letters
        self._tally = tally

    async def room(self, records: int, size_bytes: int) -> None:
        """Wait until the publisher can take so much."""
        await self._publisher.room(records, size_bytes)

    def settle_batch(self, batch: Batch, outgoing: Sequence[Outgoing]) -> None:
        """Publish one record for each of the batch; settle the batch when all are confirmed."""

        def bury(refusal: PublishError) -> None:
            records = [batch.records[position] for position in refusal.failed]
            self._bury(records, refusal.code, batch.settle_all)

        self._when_confirmed(outgoing, batch.settle_all, bury)

    def settle_one(
        self,
        batch: Batch,
        record: Record,
        outgoing: Outgoing,
        first: Callable[[Callable[[], None]], None] | None = None,
        refused: Callable[[], None] | None = None,
    ) -> None:
        """Publish what became of one record; settle it when that is confirmed.

        `first`, where given, is called then instead, and settles with what it is given; `refused` where it
        will never be confirmed, and a dead letter is written in its place.
        """

        def settle() -> None:
            batch.settle(record.offset)

        def bury(refusal: PublishError) -> None:
            self._bury((record,), refusal.code, settle)
            if refused is not None:
                refused()

        self._when_confirmed((outgoing,), settle if first is None else lambda: first(settle), bury)

    def condemn(self, batch: Batch, record: Record, bug: Exception) -> None:
        """A record at which the stage itself fails becomes a dead letter; only the error's name is told."""
        stage = self._dead_letters.stage
        self._tally.error(f"{stage} failed on a record: {type(bug).__name__}")
        self._tally.dead_letter(stage, "stage_failed")
        self.settle_one(batch, record, self._dead_letters.of_bug(record, bug))

    def _bury(self, records: Sequence[Record], code: str, settle: Callable[[], None]) -> None:
        """The verdict or pending record was refused for good: the original becomes a dead letter."""

        def refused(refusal: PublishError) -> None:
            self._tally.error("dead letters were refused; they are written without what they hold")
            self._bury_bare([records[position] for position in refusal.failed], code, settle)

        for _ in records:
            self._tally.dead_letter(self._dead_letters.stage, code)
        letters = [self._dead_letters.of(record, code=code, detail=_DETAIL) for record in records]
        self._when_confirmed(letters, settle, refused)

    def _bury_bare(self, records: Sequence[Record], code: str, settle: Callable[[], None]) -> None:
        """The dead letters were refused, too: what remains is the reason, and where the original stands.

        Where Kafka will not take even that, nothing would tell of the records: they stay unsettled.
        """
        letters = [
            self._dead_letters.of(record, code=code, detail=_DETAIL, is_bare=True) for record in records
        ]
        self._when_confirmed(
            letters,
            settle,
            lambda _: self._tally.error("Kafka refuses dead letters; a partition stands still"),
        )

    def _when_confirmed(
        self,
        outgoing: Sequence[Outgoing],
        settle: Callable[[], None],
        refused: Callable[[PublishError], None],
    ) -> None:
        """Publish. What is neither confirmed nor refused settles nothing: it will be delivered again."""

        def ended(confirmed: asyncio.Future[None]) -> None:
            if confirmed.cancelled():
                return
            match confirmed.exception():
                case None:
                    settle()
                case PublishError() as refusal:
                    refused(refusal)
                case unexpected:
                    raise unexpected

        self._publisher.publish(outgoing).add_done_callback(ended)
