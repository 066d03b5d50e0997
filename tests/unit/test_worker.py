"""A worker whose start Kafka ends: its code, its last words; and that it is not ready while Kafka is away."""

from __future__ import annotations

import argparse
import asyncio
import logging
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError
from stages import TOPICS, FakePublisher, book, fetched, records

from infra.errors import ExitCode
from infra.settings import load
from infra.worker import Worker
from schemas.event import PRIORITIES
from streams.app import stage_app
from streams.clock import ManualClock
from streams.core.orders import Orders
from streams.dead_lettering import DeadLetters
from streams.fetching import TransportOptions
from streams.observing import AWAY_AFTER_MS, Tally
from streams.ports import Outgoing
from streams.rescuing import Rescuer
from streams.settling import Settling


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


async def test_a_bug_in_what_follows_a_confirmation_stops_the_worker(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The verdict is refused, and the dead letter that is to take its place cannot be made."""
    partitions, publisher = book(ManualClock()), FakePublisher()
    topic = TOPICS.content("low")
    partitions.open([(topic, 0)])
    batch = fetched(partitions, records(topic, [b"x"]))

    def unmade(*_: object, **__: object) -> None:
        raise ZeroDivisionError("what somebody wrote")

    async def start(_: Worker) -> None:
        letters = DeadLetters("triage", TOPICS, ManualClock())
        monkeypatch.setattr(letters, "of", unmade)
        Settling(publisher, letters, Tally()).settle_batch(batch, [Outgoing("out", 0, None, b"v")])
        publisher.handed[0].refuse(0)

    monkeypatch.setattr(Worker, "_start", start)
    async with asyncio.timeout(30):
        assert await worker.run() == ExitCode.UNEXPECTED
    assert partitions.awaited == 1
    assert "ZeroDivisionError at streams.settling:" in worker.last_words
    assert "Exit code 1: unexpected" in worker.last_words
    assert "what somebody wrote" not in worker.last_words + caplog.text
