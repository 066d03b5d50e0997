"""Topics that were just made: the controller has them, and the brokers hear of them one after the other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from infra.clients import Cluster
from infra.errors import ExitCode, Failure
from infra.topics import await_known
from streams.topics import Topic

TOPICS = [Topic("content.low", 3, 1, {}), Topic("policy", 1, 1, {})]


def metadata(**leaders: list[int]) -> Any:
    """What a broker tells: of each topic the leaders of its partitions, -1 where there is none yet."""
    return SimpleNamespace(
        topics={
            name.replace("_", "."): SimpleNamespace(
                partitions={number: SimpleNamespace(leader=leader) for number, leader in enumerate(found)}
            )
            for name, found in leaders.items()
        }
    )


KNOWN = metadata(content_low=[1, 1, 1], policy=[1])


class FakeAdmin:
    """Tells what it is given, and goes on telling the last."""

    def __init__(self, *told: Any) -> None:
        self.told = list(told)
        self.looks = 0

    def list_topics(self, **_: Any) -> Any:
        self.looks += 1
        return self.told.pop(0) if len(self.told) > 1 else self.told[0]


def test_it_waits_until_every_partition_has_a_leader() -> None:
    admin = FakeAdmin(metadata(), metadata(policy=[1]), metadata(content_low=[1, -1, 1], policy=[1]), KNOWN)
    await_known(admin, TOPICS, Cluster("here:9092", {}, 1))
    assert admin.looks == 4


def test_of_three_brokers_three_looks_in_a_row_must_find_everything() -> None:
    admin = FakeAdmin(KNOWN, KNOWN, metadata(), KNOWN)
    await_known(admin, TOPICS, Cluster("here:9092", {}, 3))
    assert admin.looks == 6


def test_topics_that_nobody_tells_of_are_a_sentence_and_not_for_ever() -> None:
    with pytest.raises(Failure) as told:
        await_known(FakeAdmin(metadata()), TOPICS, Cluster("here:9092", {}, 1), within_s=0.1)
    assert told.value.exit_code == ExitCode.TOPICS
    assert "here:9092" in told.value.sentence
