"""The table of topics: what each is for, how it is cut and kept. Names everywhere come from here.

The table says what should be; `infra.kafka` creates it and reports where a cluster differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from schemas.event import PRIORITIES, Priority
from schemas.settings import TopicSettings

_HOUR_MS = 3_600_000
# A record of `content.*` fits Kafka's default bound; a dead letter carries it in Base64 with headers and
# reason.
CONTENT_BYTES_MAX = 1_048_588
DEAD_LETTER_BYTES_MAX = 4 << 20


@dataclass(frozen=True, slots=True)
class Topic:
    """One row of the table."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Topics:
    """All names, with the deployment's prefix, and how many partitions the keyed ones have."""

    prefix: str = ""
    partitions: int = 8

    @classmethod
    def of(cls, settings: TopicSettings) -> Topics:
        """The names under these settings."""
        return cls(prefix=settings.prefix, partitions=settings.partitions)

    def content(self, priority: Priority) -> str:
        """Where apps produce."""
        return f"{self.prefix}content.{priority}"

    def pending(self, priority: Priority) -> str:
        """Where triage puts what it could not decide."""
        return f"{self.prefix}pending.{priority}"

    @property
    def verdicts(self) -> str:
        """Where verdicts appear."""
        return f"{self.prefix}verdicts"

    @property
    def dead_letters(self) -> str:
        """Where records go that cannot be judged."""
        return f"{self.prefix}dead-letters"

    @property
    def campaigns(self) -> str:
        """Where it is told that many send one text."""
        return f"{self.prefix}campaigns"

    @property
    def policy(self) -> str:
        """Policy documents, and which of them are active."""
        return f"{self.prefix}policy"

    @property
    def control(self) -> str:
        """Orders of operators."""
        return f"{self.prefix}control"

    @property
    def memory(self) -> str:
        """Remembered answers: the changelog of every partition's memory."""
        return f"{self.prefix}memory"

    def of_priorities(self, priorities: Iterable[Priority]) -> frozenset[str]:
        """All topics on which events of these priorities stand."""
        return frozenset(name(priority) for priority in priorities for name in (self.content, self.pending))

    def priority_of(self, topic: str) -> Priority:
        """The priority of a `content.*` or `pending.*` topic."""
        spelled = topic.rpartition(".")[2]
        for priority in PRIORITIES:
            if spelled == priority:
                return priority
        raise ValueError(f"{topic} has no priority")

    def urgency_of(self, topic: str) -> int:
        """The number of a topic's priority: 0 is the most urgent."""
        return PRIORITIES.index(self.priority_of(topic))


def table(settings: TopicSettings, *, brokers: int) -> Iterator[Topic]:
    """Every topic as it should be on a cluster of so many brokers."""
    names = Topics.of(settings)
    replication = settings.replication or (3 if brokers >= 3 else 1)
    durable = {"min.insync.replicas": str(min(2, replication))}
    # The broker's time, because with the producer's a backfill of old posts is deleted while it is fresh.
    deleted = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime", **durable}
    content = {
        **deleted,
        "retention.ms": str(settings.content_retention_hours * _HOUR_MS),
        "max.message.bytes": str(CONTENT_BYTES_MAX),
    }
    # A pending record is the event plus what triage found.
    pending = {**content, "max.message.bytes": str(2 * CONTENT_BYTES_MAX)}
    kept = {**deleted, "retention.ms": str(settings.verdict_retention_hours * _HOUR_MS)}
    # A compacted topic keeps the producer's time: nothing in it is deleted for its age.
    compacted = {"cleanup.policy": "compact", "max.message.bytes": str(DEAD_LETTER_BYTES_MAX), **durable}
    for priority in PRIORITIES:
        yield Topic(names.content(priority), names.partitions, replication, content)
    for priority in PRIORITIES:
        yield Topic(names.pending(priority), names.partitions, replication, pending)
    yield Topic(names.verdicts, names.partitions, replication, kept)
    yield Topic(
        names.dead_letters,
        names.partitions,
        replication,
        {**kept, "max.message.bytes": str(DEAD_LETTER_BYTES_MAX)},
    )
    yield Topic(
        names.memory,
        names.partitions,
        replication,
        {
            **deleted,
            "cleanup.policy": "compact,delete",
            "retention.ms": str(settings.memory_retention_hours * _HOUR_MS),
        },
    )
    yield Topic(names.campaigns, names.partitions, replication, kept)
    yield Topic(names.policy, 1, replication, compacted)
    yield Topic(names.control, 1, replication, compacted)
