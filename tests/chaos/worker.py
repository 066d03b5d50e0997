"""The process under test: one worker of the real engine, whose work is to copy numbers.

    python -m chaos.worker '{"bootstrap": …}'

`triage` settles whole batches at once; `slow` takes 10 to 500 ms for a record and 1.5 s for one in fifty, so
that nothing ends in the order it began in. It says `up` when SIGTERM would stop it cleanly, and `working`
when its first record is settled; its status is 0 if nothing was wrong.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import faust
import uvloop

from chaos.numbers import Place, copy_key
from infra.kafka import aiokafka_group_options, aiokafka_options, producer_options
from schemas.settings import KafkaSettings
from streams.app import each_batch, stage_app
from streams.clock import SystemClock
from streams.core.pressure import Bounds
from streams.failing import Failing
from streams.fetching import TransportOptions
from streams.partitions import Batch, Partitions
from streams.ports import Outgoing, Record
from streams.publishing import KafkaPublisher
from streams.rescuing import Rescuer

Work = Literal["triage", "slow"]

BOUNDS = Bounds(
    partition_records_max=500, partition_bytes_max=16 << 20, total_records_max=3_000, total_bytes_max=64 << 20
)
BATCH_RECORDS_MAX = 200
# Longer than the slowest record takes: a clean stop leaves nothing behind.
DRAIN_MS = 6_000


class Options(NamedTuple):
    """What a process is told."""

    bootstrap: str
    prefix: str
    name: str
    maker: str
    directory: str
    work: Work
    is_static: bool
    session_timeout_ms: int
    delivery_timeout_ms: int


def told_path(options: Options) -> Path:
    """Where a run notes what it was told."""
    return Path(options.directory) / f"{options.maker}.told"


def seconds(record: Record) -> float:
    """How long a slow record takes."""
    chance = random.Random(record.offset * 31 + record.partition)
    return 1.5 if chance.random() < 0.02 else chance.uniform(0.01, 0.5)


class Worker:
    """One member of the group."""

    def __init__(self, options: Options) -> None:
        kafka = KafkaSettings(bootstrap=options.bootstrap)
        self._options = options
        self._stopping = asyncio.Event()
        self._trouble: list[str] = []
        self._has_settled = False
        # A line is written at once: who is killed keeps nothing back, and is excused anyway.
        self._told = told_path(options).open("w", buffering=1)
        produce = producer_options(kafka, options.bootstrap) | {
            "delivery.timeout.ms": options.delivery_timeout_ms,
            # No request may outlive its record.
            "request.timeout.ms": min(kafka.request_timeout_ms, options.delivery_timeout_ms // 2),
        }
        self._publisher = KafkaPublisher(produce, on_fatal=self._stop)
        self.app = self._stage(kafka)

    def _stage(self, kafka: KafkaSettings) -> faust.App:
        options = self._options
        consumer_options: dict[str, Any] = (
            aiokafka_options(kafka, options.bootstrap)
            | aiokafka_group_options(kafka)
            | {"session_timeout_ms": options.session_timeout_ms, "heartbeat_interval_ms": 500}
        )
        partitions = Partitions(
            stage="test",
            group=f"{options.prefix}group",
            clock=SystemClock(),
            bounds=lambda: BOUNDS,
            urgency_of=lambda topic: 0 if topic.endswith("urgent") else 1,
        )
        app = stage_app(
            group=f"{options.prefix}group",
            options=TransportOptions(
                partitions=partitions,
                consumer_options=consumer_options,
                rescuer=Rescuer({"bootstrap.servers": options.bootstrap}),
                batch_records_max=BATCH_RECORDS_MAX,
                drain_timeout_ms=DRAIN_MS,
            ),
            datadir=Path(options.directory),
            instance=f"{options.prefix}{options.name}" if options.is_static else None,
            commit_interval_ms=200,
        )
        failing = Failing(
            partitions,
            condemn=lambda _batch, _record, bug: self._stop(repr(bug)),
            stop_worker=lambda bug: self._stop(repr(bug)),
        )
        handle = {"triage": self._at_once, "slow": self._one_by_one}[options.work]

        @app.agent(app.topic(f"{options.prefix}urgent", f"{options.prefix}patient"), name="test")
        async def agent(stream: faust.StreamT[Batch]) -> None:
            await each_batch(stream, handle, failing)

        return app

    async def run(self) -> int:
        """Work until SIGTERM, or until something is wrong."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
        _say("up")
        await self.app.start()
        watching = asyncio.ensure_future(self._watch())
        await self._stopping.wait()
        watching.cancel()
        await self.app.stop()
        await self._publisher.close(2)
        for trouble in self._trouble:
            _say(f"trouble: {trouble}")
        return 1 if self._trouble else 0

    async def _watch(self) -> None:
        await self.app.wait()
        self._stop(f"the app has stopped: {self.app.crash_reason!r}")

    def _stop(self, trouble: str) -> None:
        self._trouble.append(trouble)
        self._stopping.set()

    # -- the work -------------------------------------------------------------------------------------------

    async def _at_once(self, batch: Batch) -> None:
        copies = [self._copy(batch, record) for record in batch.records]
        await self._publisher.room(len(copies), batch.size_bytes)
        self._publish(copies, batch.settle_all)

    async def _one_by_one(self, batch: Batch) -> None:
        await self._publisher.room(len(batch.records), batch.size_bytes)
        later = asyncio.get_running_loop().call_later
        for record in batch.records:
            later(seconds(record), self._done, batch, record)

    def _done(self, batch: Batch, record: Record) -> None:
        self._publish([self._copy(batch, record)], lambda: batch.settle(record.offset))

    def _copy(self, batch: Batch, record: Record) -> Outgoing:
        place = Place(batch.topic.removeprefix(self._options.prefix), batch.partition)
        key = copy_key(place, record.offset, self._options.maker)
        return Outgoing(f"{self._options.prefix}out", record.partition, key, record.value or b"")

    def _publish(self, copies: list[Outgoing], settle: Callable[[], None]) -> None:
        def ended(confirmed: asyncio.Future[None]) -> None:
            if error := confirmed.exception():
                self._stop(repr(error))
                return
            self._note(copies)
            settle()
            if not self._has_settled:
                self._has_settled = True
                _say("working")

        self._publisher.publish(copies).add_done_callback(ended)

    def _note(self, copies: list[Outgoing]) -> None:
        """Keep what was confirmed, and when: of these it may make no second copy, whoever is killed."""
        numbers = " ".join(copy.value.decode() for copy in copies)
        self._told.write(f"{time.time() * 1_000:.1f} {numbers}\n")


def _say(what: str) -> None:
    """Tell the test, which reads what is printed."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def _end_with_the_test() -> None:
    """Wait for the end of the pipe that the test holds open."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


async def _main(options: Options) -> int:
    return await Worker(options).run()


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_test, daemon=True).start()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    sys.exit(uvloop.run(_main(Options(**json.loads(sys.argv[1])))))
