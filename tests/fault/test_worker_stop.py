"""A worker stops when it is told to, whatever has happened to those it talks to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import confluent_kafka as ck
import pytest
from deadline import until
from upped import ROOT

from infra.embedded import EmbeddedKafka
from infra.running import ask
from schemas.settings import EmbeddedSettings

# The default drain of 5 s and what a stop takes beside it; `up` would kill after 8 s.
STOPS_WITHIN_S = 8.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """Give a Kafka of the test's own, to be killed."""
    kafka = EmbeddedKafka(tmp_path / "kafka", EmbeddedSettings())
    kafka.start()
    yield kafka
    kafka.stop()


def penstock(directory: Path, kafka: EmbeddedKafka, *words: str) -> list[str]:
    return [
        *(sys.executable, "-P", "-m", "infra.cli"),
        *(f"--data-dir={directory / 'data'}", f"--bootstrap={kafka.bootstrap}"),
        *("--set=nodes=http://127.0.0.1:9", *words),
    ]


@pytest.fixture
def worker(tmp_path: Path, broker: EmbeddedKafka) -> Iterator[subprocess.Popen[bytes]]:
    """Give a worker that is ready."""
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    for words in (("topics", "create"), ("policy", "push")):
        subprocess.run(penstock(tmp_path, broker, *words), env=environment, check=True, capture_output=True)
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(penstock(tmp_path, broker, "worker"), env=environment, stderr=log)
    told = tmp_path / "data" / "run" / "worker-1.json"
    until(told.exists, within_s=30)
    url = json.loads(told.read_bytes())["url"]
    until(lambda: ask(f"{url}/ready")[0] == 200, within_s=60, what="the worker is ready")
    yield process
    process.kill()
    process.wait()


def send_many(broker: EmbeddedKafka) -> None:
    """More than a worker can be done with when the broker goes."""
    producer = ck.Producer({"bootstrap.servers": broker.bootstrap})
    for number in range(3_000):
        event = {
            "v": 1,
            "kind": "moderate",
            "id": f"post-{number}",
            "text": f"a letter about {number} things",
        }
        producer.produce("content.low", json.dumps(event).encode())
    assert producer.flush(30) == 0


@pytest.mark.parametrize("work", ["idle", "busy"])
@pytest.mark.parametrize("fate", ["killed", "paused"])
def test_without_its_broker_a_worker_still_stops_in_time(
    worker: subprocess.Popen[bytes], broker: EmbeddedKafka, fate: str, work: str, tmp_path: Path
) -> None:
    if work == "busy":
        # Their verdicts cannot be confirmed, and no node takes the rest.
        send_many(broker)
    getattr(broker.brokers[0], {"killed": "kill", "paused": "pause"}[fate])()
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    status = worker.wait(STOPS_WITHIN_S * 4)
    took_s = time.monotonic() - began
    if fate == "paused":
        broker.brokers[0].resume()
    assert status == 0, (tmp_path / "worker.log").read_text()
    assert took_s < STOPS_WITHIN_S
