"""Faust with our transport under it and our publisher behind it, and an agent as the stages' are.

The agent works in short slices, publishes a batch, and settles it when Kafka has confirmed it. Slow work
settles record by record, each in its own time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import faust

from infra.bench.engine_suite.jobs import Job, Stopwatch
from infra.bench.engine_suite.works import worker
from infra.kafka import (
    aiokafka_group_options,
    aiokafka_options,
    librdkafka_options,
    producer_options,
)
from schemas.settings import EngineSettings, KafkaSettings
from streams.app import SLICE_MS, each_batch, stage_app
from streams.clock import SystemClock
from streams.core.pressure import Bounds
from streams.failing import Failing
from streams.fetching import TransportOptions
from streams.partitions import Batch, Partitions
from streams.ports import BY_KEY, Outgoing, Record, size_of
from streams.publishing import KafkaPublisher
from streams.rescuing import Rescuer

_KAFKA = KafkaSettings()
_ENGINE = EngineSettings()
PARTITIONS = 8


class Stage:
    """One agent on the engine, and what it works with."""

    def __init__(self, job: Job, watch: Stopwatch) -> None:
        self._job = job
        self._watch = watch
        self._work = worker(job.work)
        self._jobs: set[asyncio.Task[None]] = set()
        self.publisher = KafkaPublisher(producer_options(_KAFKA, job.bootstrap), on_fatal=_give_up)
        urgency = {source: at for at, source in enumerate(job.routes)}
        bounds = _bounds(job.in_flight)
        self.partitions = Partitions(
            stage="bench",
            group=job.group,
            clock=SystemClock(),
            bounds=lambda: bounds,
            urgency_of=urgency.__getitem__,
        )
        self.app = stage_app(
            group=job.group,
            options=TransportOptions(
                partitions=self.partitions,
                consumer_options=aiokafka_options(_KAFKA, job.bootstrap) | aiokafka_group_options(_KAFKA),
                rescuer=Rescuer(librdkafka_options(_KAFKA, job.bootstrap)),
                # A fetch that was begun below the bound goes beyond it by one batch.
                batch_records_max=job.in_flight // (2 * PARTITIONS) or _ENGINE.batch_records_max,
                drain_timeout_ms=_ENGINE.drain_timeout_ms,
            ),
            datadir=Path(job.directory),
            instance=None,
            commit_interval_ms=_ENGINE.commit_interval_ms,
        )
        failing = Failing(
            self.partitions, condemn=lambda _batch, _record, bug: _raise(bug), stop_worker=_raise
        )
        handle = self._slowly if job.work == "slow" else self._at_once

        @self.app.agent(self.app.topic(*job.routes), name="bench")
        async def agent(stream: faust.StreamT[Batch]) -> None:
            await each_batch(stream, handle, failing)

    async def _at_once(self, batch: Batch) -> None:
        self._watch.begin()
        outgoing: list[Outgoing] = []
        out = self._out(batch)
        others_turn_s = time.perf_counter() + SLICE_MS / 1_000
        for record in batch.records:
            outgoing.append(out(record))
            if time.perf_counter() >= others_turn_s:
                await asyncio.sleep(0)
                others_turn_s = time.perf_counter() + SLICE_MS / 1_000
        await self.publisher.room(len(outgoing), size_of(outgoing))

        def settle(confirmed: asyncio.Future[None]) -> None:
            confirmed.result()
            batch.settle_all()
            self._watch.confirmed(batch.topic, len(batch.records))

        self.publisher.publish(outgoing).add_done_callback(settle)

    async def _slowly(self, batch: Batch) -> None:
        self._watch.begin()
        out = self._out(batch)
        for record in batch.records:
            job = asyncio.ensure_future(self._one(batch, record, out))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)

    async def _one(self, batch: Batch, record: Record, out: Callable[[Record], Outgoing]) -> None:
        await asyncio.sleep(self._job.wait_ms / 1_000)
        await self.publisher.publish([out(record)])
        batch.settle(record.offset)
        self._watch.confirmed(batch.topic)

    def _out(self, batch: Batch) -> Callable[[Record], Outgoing]:
        """What makes the output of a record of this batch; its key chooses the partition, as for raw."""
        work, target = self._work, self._job.routes[batch.topic]
        return lambda record: Outgoing(target, BY_KEY, record.key, work(record.value or b""))


async def run(job: Job, watch: Stopwatch) -> None:
    """Start, wait until everything is settled, commit, stop."""
    stage = Stage(job, watch)
    await stage.app.start()
    try:
        while not watch.is_done:
            stage.partitions.progress.clear()
            await stage.partitions.progress.wait()
        await stage.app.consumer.commit()
        watch.end()
    finally:
        await stage.app.stop()
        await stage.publisher.close(1.0)


def _bounds(in_flight: int) -> Bounds:
    """The product's, or as many as are to be in flight."""
    return Bounds(
        partition_records_max=in_flight // PARTITIONS or _ENGINE.unsettled_records_max,
        partition_bytes_max=_ENGINE.unsettled_bytes_max,
        total_records_max=in_flight * 2 or _ENGINE.unsettled_records_total_max,
        total_bytes_max=_ENGINE.unsettled_bytes_total_max,
    )


def _raise(reason: Exception) -> None:
    raise reason


def _give_up(reason: str) -> None:
    raise RuntimeError(reason)
