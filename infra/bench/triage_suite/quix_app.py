"""The same job as a Quix Streams application: a dataframe of one topic, one function, a topic by outcome.

Commits once a second, as the others. Runs in an environment of its own (`peers.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quixstreams import Application, message_context
from quixstreams.models.serializers.base import Serializer

from infra.bench.engine_suite.jobs import Job, Stopwatch
from infra.bench.triage_suite.work import Work, topics_of
from infra.kafka import producer_options
from schemas.event import Source
from schemas.settings import KafkaSettings
from streams.ports import Outgoing

_KAFKA = KafkaSettings()


class _Value(Serializer):  # type: ignore[misc]  # It is not installed where types are checked.
    """The bytes are made already."""

    def __call__(self, value: Outgoing, ctx: object) -> bytes:  # noqa: ARG002
        return value.value


def run(job: Job, watch: Stopwatch) -> None:
    """Read as many records as there are."""
    topics = topics_of(job)
    work = Work(topics)
    # The broker's address it takes by itself.
    options = producer_options(_KAFKA, job.bootstrap)
    options.pop("bootstrap.servers")
    app = Application(
        job.bootstrap,
        consumer_group=job.group,
        auto_offset_reset="earliest",
        commit_interval=1.0,
        producer_extra_config=options,
        state_dir=Path(job.directory),
        loglevel=None,
        auto_create_topics=False,
        use_changelog_topics=False,
    )
    [source] = job.routes
    targets = {
        name: app.topic(name, value_serializer=_Value(), key_serializer="bytes")
        for name in (topics.verdicts, topics.pending("critical"))
    }

    def worked(value: bytes, _key: Any, timestamp_ms: int, _headers: Any) -> Outgoing:
        watch.begin()
        at = message_context()
        return work(
            value, Source(topic=at.topic, partition=at.partition, offset=at.offset, timestamp_ms=timestamp_ms)
        )

    posts = app.topic(source, value_deserializer="bytes", key_deserializer="bytes")
    made = app.dataframe(posts).apply(worked, metadata=True)
    made.to_topic(lambda outgoing, *_: targets[outgoing.topic], key=lambda outgoing: outgoing.key)
    app.run(count=job.total, collect=False)
    watch.confirmed(source, job.total)
    watch.end()
