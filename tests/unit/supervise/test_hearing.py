"""The lag that `up` shows is true: the workers' where they know it, else Kafka's; and why it rests."""

from __future__ import annotations

import pytest

from infra.errors import ExitCode, Failure
from infra.supervise.hearing import Behind, Heard, hear
from schemas.event import Priority
from streams.observing import AWAY_AFTER_MS, PartitionStatus, StageStatus, WorkerStatus

LOW = "content.low"
# What Kafka counts, from the last commit: more than a worker, which knows what it has settled since.
BEHIND: Behind = {("triage", LOW, 0): 9, ("triage", LOW, 1): 15}


def _worker(lags: dict[int, int], *, paused: tuple[Priority, ...] = (), away_ms: float = 0.0) -> WorkerStatus:
    partitions = tuple(
        PartitionStatus(
            topic=LOW, partition=number, watermark=1, unsettled=0, oldest_ms=0, lag=lag, held=False
        )
        for number, lag in lags.items()
    )
    stage = StageStatus(
        stage="triage",
        group="g",
        partitions=partitions,
        settled=0,
        commits=0,
        commit_failures=0,
        rebalances=1,
        rebalance_ms=0,
        away_ms=away_ms,
    )
    return WorkerStatus(worker="w", pid=1, ready=True, stages=(stage,), paused=paused)


def _unasked() -> Behind:
    raise AssertionError("Kafka was asked")


def _away() -> Behind:
    raise Failure("no broker", exit_code=ExitCode.KAFKA_UNREACHABLE)


def test_workers_that_have_all_partitions_tell_the_lag_themselves() -> None:
    assert hear({"a": _worker({0: 3}), "b": _worker({1: 4})}, 2, _unasked) == Heard(7)


def test_of_a_worker_that_does_not_answer_kafka_tells_the_lag() -> None:
    heard = hear({"worker-1": _worker({0: 3}), "worker-2": None}, 2, lambda: BEHIND)
    assert heard == Heard(18, ("worker-2 does not answer",))


def test_partitions_that_nobody_has_are_counted_and_told() -> None:
    heard = hear({"worker-1": _worker({0: 3})}, 2, lambda: BEHIND)
    assert heard == Heard(18, ("15 records in partitions that no worker here has",))
    assert hear({"worker-1": _worker({0: 3})}, 2, lambda: dict.fromkeys(BEHIND, 0)) == Heard(3)


def test_where_no_worker_runs_all_that_waits_is_counted() -> None:
    assert hear({}, 2, lambda: BEHIND).lag == 24


def test_a_pause_is_told_the_urgent_first() -> None:
    both = {"a": _worker({0: 3}, paused=("low", "critical")), "b": _worker({1: 0}, paused=("low",))}
    assert hear(both, 2, _unasked) == Heard(3, ("paused: critical, low",))


@pytest.mark.parametrize(
    "statuses", [{"a": _worker({0: 3, 1: 4}, away_ms=AWAY_AFTER_MS)}, {"a": None}], ids=["away", "silent"]
)
def test_where_kafka_does_not_answer_the_lag_is_unknown(statuses: dict[str, WorkerStatus | None]) -> None:
    heard = hear(statuses, 2, _away)
    assert heard.lag is None
    assert heard.remarks[-1] == "Kafka does not answer"
