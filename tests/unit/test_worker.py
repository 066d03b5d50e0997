"""A worker whose start Kafka ends: its code, its last words; and that it is not ready while Kafka is away."""

from __future__ import annotations

import argparse
import asyncio
import logging
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError
from stages import book

from infra.errors import ExitCode
from infra.settings import load
from infra.worker import Worker
from schemas.event import PRIORITIES
from streams.app import stage_app
from streams.clock import ManualClock
from streams.core.orders import Orders
from streams.fetching import TransportOptions
from streams.observing import AWAY_AFTER_MS
from streams.rescuing import Rescuer


@pytest.fixture
async def worker(tmp_path: Path, unused_tcp_port: int) -> Worker:
    args = argparse.Namespace(
        config=None, data_dir=str(tmp_path), bootstrap=f"127.0.0.1:{unused_tcp_port}", set=[], debug=False
    )
    return Worker(load(args), "worker-1", ("triage",))


@pytest.mark.parametrize(
    ("trouble", "code", "begin"),
    [
        (KafkaConnectionError("Unable"), ExitCode.KAFKA_UNREACHABLE, "Kafka does not answer any more"),
        (
            GroupAuthorizationFailedError("g"),
            ExitCode.FORBIDDEN,
            "Kafka does not let our user read the group g",
        ),
    ],
)
async def test_what_kafka_does_to_a_start_is_no_mistake_of_ours(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, trouble: Exception, code: ExitCode, begin: str
) -> None:
    async def start(_: Worker) -> None:
        raise trouble

    monkeypatch.setattr(Worker, "_start", start)
    assert await worker.run() == code
    assert worker.last_words.startswith(begin)
    assert f"Exit code {code:d}: " in worker.last_words


async def test_a_bug_in_a_start_stays_one(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(_: Worker) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Worker, "_start", start)
    with pytest.raises(ZeroDivisionError):
        await worker.run()


async def test_a_worker_is_not_ready_while_kafka_is_away(worker: Worker) -> None:
    worker.partitions["triage"] = partitions = book(ManualClock(), stage="triage")
    partitions.counts.rebalances = 1
    for away_ms, ready, waits_for in (
        (AWAY_AFTER_MS - 1, True, ""),
        (61_000.0, False, "Kafka has not answered for 61 s."),
        (0.0, True, ""),
    ):
        partitions.away_ms = lambda away_ms=away_ms: away_ms
        status = worker.status()
        assert (status.ready, status.waits_for, status.stages[0].away_ms) == (ready, waits_for, away_ms)


async def test_what_is_paused_is_told_the_urgent_first(worker: Worker) -> None:
    worker._guidance.orders = Orders(paused=frozenset(PRIORITIES))  # noqa: SLF001
    assert worker.status().paused == ("critical", "high", "medium", "low")


async def test_a_stage_that_finds_no_kafka_fails_with_its_reason_and_prints_nothing(
    tmp_path: Path, unused_tcp_port: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    nowhere = f"127.0.0.1:{unused_tcp_port}"
    app = stage_app(
        group="g",
        options=TransportOptions(
            partitions=book(ManualClock()),
            consumer_options={"bootstrap_servers": nowhere},
            rescuer=Rescuer({"bootstrap.servers": nowhere}),
            batch_records_max=10,
            drain_timeout_ms=100,
        ),
        datadir=tmp_path,
        instance=None,
        commit_interval_ms=100,
    )
    async with asyncio.timeout(10):
        # It may be over before the thread has told of it: a worker watches what it has started.
        with suppress(KafkaConnectionError):
            await app.start()
        await app.wait()
        assert isinstance(app.crash_reason, KafkaConnectionError)
        await app.stop()
    assert capfd.readouterr().err == ""
