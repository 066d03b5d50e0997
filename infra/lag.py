"""How far behind the stages are, as Kafka sees it: committed offsets against the ends of their topics.

The workers say the same of what they own; this is true when none of them runs, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # The library does not say what it exports.
    AdminClient,
    OffsetSpec,
)

from infra.clients import Cluster
from infra.kafka import admin_client, unreachable
from schemas.event import PRIORITIES
from schemas.settings import Settings
from streams.topics import Topics

_ANSWER_WITHIN_S = 5.0


class Lag(NamedTuple):
    """One topic that a stage reads."""

    stage: str
    topic: str
    partitions: int
    records: int


def lags(settings: Settings, cluster: Cluster) -> list[Lag]:
    """The lag of each stage on each of its topics that exist."""
    names = Topics.of(settings.topics)
    stages = {
        "triage": [names.content(priority) for priority in PRIORITIES],
        "judge": [names.pending(priority) for priority in PRIORITIES],
    }
    admin = admin_client(settings.kafka, cluster.bootstrap)
    try:
        return [
            lag
            for stage, topics in stages.items()
            for lag in _of_stage(
                admin,
                stage,
                f"{names.prefix}penstock.{stage}",
                {name: cluster.partitions.get(name, 0) for name in topics},
            )
        ]
    except KafkaException:
        raise unreachable(cluster.bootstrap, _ANSWER_WITHIN_S) from None


def _of_stage(admin: AdminClient, stage: str, group: str, topics: Mapping[str, int]) -> list[Lag]:
    places = [TopicPartition(topic, number) for topic, count in topics.items() for number in range(count)]
    if not places:
        return []
    first = _offsets(admin, places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
    last = _offsets(admin, places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
    committed = _committed(admin, group)
    behind = {
        # Nothing committed: the stage begins at the oldest record.
        place: max(0, last[place] - max(committed.get(place, 0), first[place]))
        for place in last
    }
    return [
        Lag(stage, topic, count, sum(records for (name, _), records in behind.items() if name == topic))
        for topic, count in topics.items()
        if count
    ]


def _offsets(
    admin: AdminClient, places: list[TopicPartition], spec: OffsetSpec
) -> dict[tuple[str, int], int]:
    answers = admin.list_offsets(dict.fromkeys(places, spec), request_timeout=_ANSWER_WITHIN_S)
    return {(place.topic, place.partition): answer.result().offset for place, answer in answers.items()}


def _committed(admin: AdminClient, group: str) -> dict[tuple[str, int], int]:
    (answer,) = admin.list_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group)], request_timeout=_ANSWER_WITHIN_S
    ).values()
    found = answer.result().topic_partitions or []
    return {(place.topic, place.partition): place.offset for place in found if place.offset >= 0}
