"""How far behind the stages are, as Kafka sees it: committed offsets against the ends of their topics.

The workers say the same of what they own; this is true when none of them runs, too.
"""

from __future__ import annotations

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
    behind = LagReader(settings, cluster).behind()
    return [
        Lag(stage, topic, count, sum(behind[stage, topic, number] for number in range(count)))
        for stage, topics in _topics_of(settings).items()
        for topic in topics
        if (count := cluster.partitions.get(topic, 0))
    ]


class LagReader:
    """Asks the same brokers again and again."""

    def __init__(self, settings: Settings, cluster: Cluster) -> None:
        self._bootstrap = cluster.bootstrap
        self._prefix = settings.topics.prefix
        self._admin = admin_client(settings.kafka, cluster.bootstrap)
        self._places = {
            stage: [
                TopicPartition(topic, number)
                for topic in topics
                for number in range(cluster.partitions.get(topic, 0))
            ]
            for stage, topics in _topics_of(settings).items()
        }

    @property
    def places(self) -> int:
        """How many partitions are to be read, by both stages."""
        return sum(map(len, self._places.values()))

    def behind(self) -> dict[tuple[str, str, int], int]:
        """How many records each partition waits with: by stage, topic and number."""
        try:
            return {
                (stage, *place): records
                for stage, places in self._places.items()
                if places
                for place, records in self._of_stage(stage, places).items()
            }
        except KafkaException:
            raise unreachable(self._bootstrap, _ANSWER_WITHIN_S) from None

    def _of_stage(self, stage: str, places: list[TopicPartition]) -> dict[tuple[str, int], int]:
        first = _offsets(self._admin, places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        last = _offsets(self._admin, places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        committed = _committed(self._admin, f"{self._prefix}penstock.{stage}")
        return {
            # Nothing committed: the stage begins at the oldest record.
            place: max(0, last[place] - max(committed.get(place, 0), first[place]))
            for place in last
        }


def _topics_of(settings: Settings) -> dict[str, list[str]]:
    names = Topics.of(settings.topics)
    return {
        "triage": [names.content(priority) for priority in PRIORITIES],
        "judge": [names.pending(priority) for priority in PRIORITIES],
    }


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
