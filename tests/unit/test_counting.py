"""One of a thing is one, wherever a number of things is told."""

from __future__ import annotations

import pytest

from infra.counting import counted
from infra.lag import Lag
from infra.picture import Picture, told
from streams.observing import PartitionStatus, StageStatus, WorkerStatus


@pytest.mark.parametrize(("count", "words"), [(0, "0 records"), (1, "1 record"), (2, "2 records")])
def test_so_many_of_a_thing(count: int, words: str) -> None:
    assert counted(count, "record") == words


def test_the_status_tells_of_one_record_one_partition_one_failure() -> None:
    partition = PartitionStatus(
        topic="content.high", partition=0, watermark=1, unsettled=1, oldest_ms=0, lag=1, held=False
    )
    stage = StageStatus(
        stage="triage",
        group="g",
        partitions=(partition,),
        settled=1,
        commits=1,
        commit_failures=1,
        rebalances=1,
        rebalance_ms=0,
        failures=1,
        condemned=1,
        missed=1,
    )
    picture = Picture(
        data_dir="here",
        lag=(Lag("triage", "content.high", 1, 1),),
        workers={"worker-1": WorkerStatus(worker="worker-1", pid=1, ready=True, stages=(stage,))},
    )
    said = "\n".join(told(picture))
    assert "content.high: 1 record before triage" in said
    assert "triage: 1 partition," in said
    assert said.endswith(
        "1 commit failed, 1 failure of the stage itself, 1 record condemned for them, "
        "1 record deleted before anybody read them"
    )
