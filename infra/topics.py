"""The topics of a cluster against the table of `streams.topics`: makes what is missing, tells what differs.

What exists is never altered: fewer or more partitions would put a key elsewhere, another cleanup may delete.
What to tell is decided by plain functions over plain values; the two that ask and create are at the end.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # The library does not say what it exports.
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
    TopicMetadata,
)

from infra.clients import Cluster, look
from infra.errors import ExitCode, Failure
from infra.kafka import admin_client, unreachable
from schemas.settings import Settings
from streams.topics import Topic, table

_ANSWER_WITHIN_S = 10.0
# A broker hears of new topics within some tens of milliseconds.
_LOOK_AGAIN_S = 0.02


@dataclass(frozen=True, slots=True)
class Existing:
    """A topic as it stands on the cluster."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a cluster is not what the table says, and what to do about it."""

    topic: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.what}; {self.advice}"


def differences(wanted: Iterable[Topic], existing: Mapping[str, Existing]) -> list[Difference]:
    """Everything in which the cluster differs from the table."""
    found: list[Difference] = []
    for topic in wanted:
        there = existing.get(topic.name)
        if there is None:
            found.append(Difference(topic.name, "is missing", "make it with `penstock topics create`"))
        else:
            found += _drift(topic, there)
    return found


def missing(wanted: Iterable[Topic], existing: Mapping[str, Existing]) -> list[Topic]:
    """The rows of the table that are not there."""
    return [topic for topic in wanted if topic.name not in existing]


def _drift(topic: Topic, there: Existing) -> list[Difference]:
    found: list[Difference] = []
    if there.partitions != topic.partitions:
        found.append(
            Difference(
                topic.name,
                f"has {there.partitions} partitions instead of {topic.partitions}",
                f"set topics.partitions = {there.partitions} if that is meant, else choose another "
                "topics.prefix: the number is fixed for life, because it says where a key lies",
            )
        )
    # More copies than asked for harm nobody.
    if there.replication < topic.replication:
        found.append(
            Difference(
                topic.name,
                f"has replication {there.replication} instead of {topic.replication}",
                "reassign its partitions with kafka-reassign-partitions, or set topics.replication = "
                f"{there.replication}",
            )
        )
    for name, value in topic.config.items():
        actual = there.config.get(name, "")
        if not _is_same(name, actual, value):
            found.append(
                Difference(
                    topic.name,
                    f"has {name} = {actual or '(unset)'} instead of {value}",
                    f"kafka-configs --alter --entity-type topics --entity-name {topic.name} --add-config "
                    f"{name}={value}",
                )
            )
    return found


def _is_same(name: str, actual: str, wanted: str) -> bool:
    if name == "cleanup.policy":
        return set(actual.split(",")) == set(wanted.split(","))
    return actual == wanted


# -- asking and creating ---------------------------------------------------------------------------------


def wanted_of(settings: Settings, cluster: Cluster) -> list[Topic]:
    """The table for this cluster."""
    return [*table(settings.topics, brokers=cluster.brokers)]


def existing_of(settings: Settings, cluster: Cluster, wanted: Sequence[Topic]) -> dict[str, Existing]:
    """Those topics of the table that the cluster has, as they are there."""
    admin = admin_client(settings.kafka, cluster.bootstrap)
    try:
        seen = admin.list_topics(timeout=_ANSWER_WITHIN_S).topics
        names = [topic.name for topic in wanted if topic.name in seen and seen[topic.name].partitions]
        configs = _configs(admin, names)
    except KafkaException as error:
        raise _translated(error, cluster) from None
    return {
        name: Existing(
            name,
            len(seen[name].partitions),
            min(len(partition.replicas) for partition in seen[name].partitions.values()),
            configs[name],
        )
        for name in names
    }


def create(settings: Settings, cluster: Cluster, topics: Sequence[Topic]) -> None:
    """Make topics; one that somebody else makes at the same moment is as good."""
    if not topics:
        return
    admin = admin_client(settings.kafka, cluster.bootstrap)
    fresh = [
        NewTopic(topic.name, topic.partitions, topic.replication, config=dict(topic.config))
        for topic in topics
    ]
    for name, made in admin.create_topics(fresh, operation_timeout=_ANSWER_WITHIN_S).items():
        try:
            made.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise _not_made(name, error, cluster) from None
    await_known(admin, topics, cluster)


def await_known(
    admin: AdminClient, topics: Sequence[Topic], cluster: Cluster, *, within_s: float = _ANSWER_WITHIN_S
) -> None:
    """Wait until brokers tell of the topics: the controller has made them before the others know.

    As many looks in a row as there are brokers must find everything, because each look may ask another one.
    """
    deadline = time.monotonic() + within_s
    found_in_a_row = 0
    while found_in_a_row < cluster.brokers:
        try:
            seen = admin.list_topics(timeout=_ANSWER_WITHIN_S).topics
        except KafkaException as error:
            raise _translated(error, cluster) from None
        is_known = all(_leaders(seen.get(topic.name)) == topic.partitions for topic in topics)
        found_in_a_row = found_in_a_row + 1 if is_known else 0
        if not is_known:
            if time.monotonic() > deadline:
                raise Failure(
                    f"Kafka at {cluster.bootstrap} made the topics, but its brokers do not tell of them: "
                    "look at their logs, and try again.",
                    exit_code=ExitCode.TOPICS,
                )
            time.sleep(_LOOK_AGAIN_S)


def _leaders(seen: TopicMetadata | None) -> int:
    """How many partitions can be written to."""
    partitions = seen.partitions.values() if seen else ()
    return sum(partition.leader >= 0 for partition in partitions)


def ensure(settings: Settings, cluster: Cluster) -> list[Topic]:
    """Make what is missing; a `Failure` where something differs. Returns what was made."""
    wanted = wanted_of(settings, cluster)
    existing = existing_of(settings, cluster, wanted)
    absent = missing(wanted, existing)
    drift = differences([topic for topic in wanted if topic.name in existing], existing)
    if drift:
        raise drifted(drift)
    create(settings, cluster, absent)
    return absent


def check(settings: Settings, bootstrap: str) -> None:
    """Hold a cluster that answers to the table: a `Failure` that tells what is missing or differs."""
    cluster = look(settings, bootstrap, within_s=_ANSWER_WITHIN_S)
    wanted = wanted_of(settings, cluster)
    found = differences(wanted, existing_of(settings, cluster, wanted))
    if found:
        raise drifted(found)


def drifted(found: Sequence[Difference]) -> Failure:
    """The failure that tells differences, one to a line where there are several."""
    told = str(found[0]) if len(found) == 1 else "".join(f"\n  {difference}" for difference in found)
    return Failure(f"Topics differ from the table: {told}", exit_code=ExitCode.TOPICS)


def _configs(admin: AdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    answers = admin.describe_configs(resources, request_timeout=_ANSWER_WITHIN_S)
    return {
        resource.name: {entry.name: entry.value or "" for entry in answer.result().values()}
        for resource, answer in answers.items()
    }


def _not_made(name: str, error: KafkaException, cluster: Cluster) -> Failure:
    problem: KafkaError = error.args[0]
    if problem.code() == KafkaError.INVALID_REPLICATION_FACTOR:
        return Failure(
            f"The topic {name} cannot be made: {problem.str()}. Set topics.replication to at most the number "
            f"of brokers ({cluster.brokers}).",
            exit_code=ExitCode.TOPICS,
        )
    return _translated(error, cluster)


def _translated(error: KafkaException, cluster: Cluster) -> Failure:
    problem: KafkaError = error.args[0]
    if problem.code() in {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED}:
        return Failure(
            f"Kafka at {cluster.bootstrap} does not let this user look after topics: let an administrator "
            "run `penstock topics create`.",
            exit_code=ExitCode.TOPICS,
        )
    if problem.retriable() or problem.code() < 0:
        return unreachable(cluster.bootstrap, _ANSWER_WITHIN_S)
    return Failure(f"Kafka refused: {problem.str()}.", exit_code=ExitCode.TOPICS)
