"""A worker under a flood of posts never keeps the event loop for long: an urgent one gets its turn."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import confluent_kafka as ck
from deadline import eventually
from pulse import SLICE_MS_MAX, Pulse

from infra.bench.posts import posts
from infra.clients import reach
from infra.policies import default_policy_path, read
from infra.policy_topic import push
from infra.settings import Loaded, Sources
from infra.topics import ensure
from infra.worker import Worker
from schemas.settings import KafkaSettings, Settings, TopicSettings

POSTS = 20_000


async def test_no_slice_of_work_keeps_the_loop_for_more_than_5_ms(
    kafka: str, topics_prefix: str, tmp_path: Path
) -> None:
    loaded = Loaded(
        settings=Settings(
            data_dir=str(tmp_path / "data"),
            kafka=KafkaSettings(bootstrap=kafka),
            topics=TopicSettings(prefix=topics_prefix, partitions=2),
        ),
        origins={},
        sources=Sources(),
    )
    settings = loaded.settings
    ensure(settings, reach(settings))
    push(read(default_policy_path()), settings)
    worker = Worker(loaded, "worker-1", ("triage",))
    running = asyncio.ensure_future(worker.run())
    await eventually(lambda: not worker.waits_for, within_s=30, what="the worker is ready")
    pulse = Pulse()
    await asyncio.to_thread(_send, kafka, f"{topics_prefix}content.low")
    counts = worker.partitions["triage"].counts
    await eventually(lambda: counts.settled >= POSTS, within_s=60, what="all is settled")
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0
    longest = pulse.stop()
    assert longest[0] < SLICE_MS_MAX, longest


def _send(bootstrap: str, topic: str) -> None:
    producer = ck.Producer({"bootstrap.servers": bootstrap})
    for post in posts(POSTS):
        producer.produce(topic, post)
        producer.poll(0)
    assert producer.flush(30) == 0
