"""`penstock topics` on a real cluster: makes what is missing, tells what differs, alters nothing."""

from __future__ import annotations

import json

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType
from deadline import until

from infra import cli
from infra.errors import ExitCode


@pytest.fixture
def topics(kafka: str, topics_prefix: str):
    """`penstock topics …` on topics of this test's own."""

    def run(*words: str) -> int:
        return cli.main(
            [
                f"--bootstrap={kafka}",
                f"--set=topics.prefix={topics_prefix}",
                "--set=topics.partitions=3",
                "topics",
                *words,
            ]
        )

    return run


def test_what_is_missing_is_made_once_and_is_then_as_the_table_says(
    topics, kafka: str, topics_prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert topics("check") == ExitCode.TOPICS
    assert capsys.readouterr().err.count("is missing; make it with `penstock topics create`") == 14
    assert topics("create") == ExitCode.OK
    assert "14 topics made, 0 were there" in capsys.readouterr().out
    assert topics("create") == ExitCode.OK
    assert "0 topics made, 14 were there" in capsys.readouterr().out
    assert topics("check") == ExitCode.OK
    made = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).topics
    assert len(made[f"{topics_prefix}verdicts"].partitions) == 3
    assert len(made[f"{topics_prefix}policy"].partitions) == 1


def test_drift_is_told_with_what_to_do_and_nothing_is_altered(
    topics, kafka: str, topics_prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    name = f"{topics_prefix}verdicts"
    odd = NewTopic(name, 5, 1, config={"cleanup.policy": "compact", "retention.ms": "1000"})
    admin.create_topics([odd])[name].result(10)
    # The controller has made it; a broker knows of it a moment later.
    until(lambda: name in admin.list_topics(timeout=5).topics, within_s=10)
    for what in ("create", "check"):
        assert topics(what) == ExitCode.TOPICS
        told = capsys.readouterr().err
        assert f"{name}: has 5 partitions instead of 3; set topics.partitions = 5" in told
        assert f"{name}: has cleanup.policy = compact instead of delete" in told
        assert f"{name}: has retention.ms = 1000 instead of 2592000000" in told
    resource = ConfigResource(ResourceType.TOPIC, name)
    config = admin.describe_configs([resource])[resource].result(10)
    assert (config["cleanup.policy"].value, config["retention.ms"].value) == ("compact", "1000")


def test_the_table_is_shown_with_the_state_of_each_topic(topics, capsys: pytest.CaptureFixture[str]) -> None:
    assert topics("create") == ExitCode.OK
    capsys.readouterr()
    assert topics("show", "--json") == ExitCode.OK
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 14
    assert all(row["problems"] == [] for row in rows)
    assert {row["config"].get("message.timestamp.type") for row in rows if row["partitions"] == 3} == {
        "LogAppendTime"
    }
    assert topics("show") == ExitCode.OK
    assert capsys.readouterr().out.count("as the table says") == 14


def test_without_a_broker_there_is_a_sentence_and_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    # Port 9 discards, where anybody listens there at all.
    assert cli.main(["--bootstrap=127.0.0.1:9", "topics", "check"]) == ExitCode.KAFKA_UNREACHABLE
    told = capsys.readouterr().err
    assert told.startswith("penstock: Kafka at 127.0.0.1:9 did not answer within 10 s")
    assert told.count("\n") == 1
