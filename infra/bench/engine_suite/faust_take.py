"""Faust as it comes: an agent that takes up to 500 values at once and sends through a topic.

It is the fastest of its own ways that wait for confirmation. Its settings are ours where it has them; what it
cannot be told stays as it is.
"""

from __future__ import annotations

import asyncio

import faust

from infra.bench.engine_suite.jobs import Job, Stopwatch
from infra.bench.engine_suite.works import worker
from schemas.settings import EngineSettings, KafkaSettings

_KAFKA = KafkaSettings()
_BATCH = EngineSettings().batch_records_max


async def run(job: Job, watch: Stopwatch) -> None:
    """Start the app, wait until everything is confirmed, stop it."""
    work = worker(job.work)
    app = faust.App(
        job.group,
        broker=f"kafka://{job.bootstrap}",
        datadir=job.directory,
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=1.0,
        broker_max_poll_records=_BATCH,
        producer_linger_ms=_KAFKA.linger_ms,
        producer_max_batch_size=_KAFKA.batch_bytes_max,
        producer_compression_type=_KAFKA.compression,
    )
    [(source, target)] = job.routes.items()
    out = app.topic(target, key_serializer="raw", value_serializer="raw")
    done = asyncio.Event()

    @app.agent(app.topic(source, key_serializer="raw", value_serializer="raw"))
    async def agent(stream: faust.StreamT[bytes]) -> None:
        # Keys are not to be had here; the verdict's own would be made of the value, anyway.
        async for values in stream.take(_BATCH, within=0.05):
            watch.begin()
            sent = [await out.send(key=value[:24], value=work(value)) for value in values]
            await asyncio.gather(*sent)
            watch.confirmed(source, len(values))
            if watch.is_done:
                done.set()

    await app.start()
    await done.wait()
    watch.end()
    await app.stop()
