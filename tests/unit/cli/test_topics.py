"""Where a cluster is not what the table says, each difference is told with what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.errors import ExitCode
from infra.topics import Existing, differences, drifted, missing
from schemas.settings import TopicSettings
from streams.topics import Topic, table

WANTED = [*table(TopicSettings(), brokers=3)]


def _as_wanted() -> dict[str, Existing]:
    return {
        topic.name: Existing(topic.name, topic.partitions, topic.replication, topic.config)
        for topic in WANTED
    }


def test_a_cluster_as_the_table_says_has_no_differences() -> None:
    assert len(WANTED) == 14
    assert differences(WANTED, _as_wanted()) == []


def test_what_is_missing_is_told_and_would_be_made() -> None:
    existing = _as_wanted()
    del existing["verdicts"]
    (found,) = differences(WANTED, existing)
    assert str(found) == "verdicts: is missing; make it with `penstock topics create`"
    assert [topic.name for topic in missing(WANTED, existing)] == ["verdicts"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"partitions": 6}, "has 6 partitions instead of 8; set topics.partitions = 6 if that is meant"),
        ({"replication": 1}, "has replication 1 instead of 3"),
        ({"config": {}}, "cleanup.policy = (unset) instead of delete"),
        ({"config": {"retention.ms": "1"}}, "retention.ms = 1 instead of 2592000000; kafka-configs --alter"),
    ],
)
def test_a_difference_is_told_with_what_to_do(change: dict[str, object], told: str) -> None:
    existing = _as_wanted()
    config = dict(existing["verdicts"].config) | change.get("config", {}) if change.get("config") else {}
    changed = change if "config" not in change else {"config": config}
    existing["verdicts"] = replace(existing["verdicts"], **changed)  # type: ignore[arg-type]
    assert any(told in str(found) for found in differences(WANTED, existing))


def test_more_copies_than_asked_for_are_no_difference() -> None:
    existing = _as_wanted()
    existing["verdicts"] = replace(existing["verdicts"], replication=5)
    assert differences(WANTED, existing) == []


def test_the_order_of_cleanup_policies_does_not_matter() -> None:
    wanted = Topic("memory", 1, 1, {"cleanup.policy": "compact,delete"})
    there = Existing("memory", 1, 1, {"cleanup.policy": "delete,compact"})
    assert differences([wanted], {"memory": there}) == []


def test_all_differences_are_told_at_once_with_the_code_for_topics() -> None:
    failure = drifted(differences(WANTED, {}))
    assert failure.exit_code == ExitCode.TOPICS
    assert failure.sentence.count("is missing") == 14
