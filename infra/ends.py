"""Asks Kafka how far held partitions go: nobody fetches them, so nobody else would tell of what comes in.

Their lag, and a pause that was forgotten, are seen by it (`Partitions.ends`). Off the way of records: a
request every two seconds, and none as long as nothing is held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import confluent_kafka as ck
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # The library does not say what it exports.
    AdminClient,
    OffsetSpec,
)
from mode import Service

from streams.partitions import Partitions, TopicPartition

_ASK_EVERY_S = 2.0
_ANSWER_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.05


class HeldEnds(Service):
    """Keeps the ends of all held partitions of a worker."""

    abstract = False
    mundane_level = "debug"

    def __init__(
        self, stages: Callable[[], Iterable[Partitions]], connect: Callable[[], AdminClient]
    ) -> None:
        super().__init__()
        self._stages = stages
        self._connect = connect
        self._admin: AdminClient | None = None

    @Service.task
    async def _keep(self) -> None:
        while not self.should_stop:
            await self.look()
            await self.sleep(_ASK_EVERY_S)

    async def look(self) -> None:
        """Ask once; where no broker answers, what was known stays."""
        for stage in tuple(self._stages()):
            held = stage.held()
            # Forgotten as soon as it goes on: then fetches tell, and a topic may have been made anew.
            stage.ends = await self._ends(held, stage.ends) if held else {}

    async def _ends(
        self, held: Iterable[TopicPartition], known: dict[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        if self._admin is None:
            self._admin = self._connect()
        places = {ck.TopicPartition(*tp): OffsetSpec.latest() for tp in held}  # type: ignore[no-untyped-call]
        answers = self._admin.list_offsets(places, request_timeout=_ANSWER_WITHIN_S)
        # Looked at, not waited for: a stop need not wait for a broker that is away.
        while not all(answer.done() for answer in answers.values()):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_EVERY_S)
        told = {
            TopicPartition(place.topic, place.partition): answer.result().offset
            for place, answer in answers.items()
            if answer.exception() is None
        }
        return {tp: end for tp in held if (end := told.get(tp, known.get(tp))) is not None}
