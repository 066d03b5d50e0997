"""Kafka is away while a whole Penstock is at work: intake stops, memory stays, and the work goes on after it.

Ten minutes at full size: longer than a delivery timeout, a session, and the age of everybody's metadata.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import confluent_kafka as ck
import pytest
from chaos.trial import FULL, Size
from deadline import until
from upped import upped

from infra.clients import reach
from infra.embedded import EmbeddedKafka
from infra.following import follow
from infra.running import worker_addresses, worker_statuses
from schemas.effective import EffectiveVerdicts
from schemas.settings import KafkaSettings, Settings, TopicSettings
from schemas.wire import decode_verdict

EVENTS = 600
AWAY_S = {False: 6.0, True: 600.0}
# Python does not give back all that it had; what was fetched is a few MiB.
GROWTH_MAX = 1.2


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """Give a Kafka of the test's own, to be killed."""
    with EmbeddedKafka(tmp_path / "kafka", Settings().embedded) as kafka:
        yield kafka


def test_a_broker_that_is_away_for_long_costs_neither_events_nor_memory(
    own: EmbeddedKafka, topics_prefix: str, tmp_path: Path, size: Size
) -> None:
    settings = Settings(
        kafka=KafkaSettings(bootstrap=own.bootstrap), topics=TopicSettings(prefix=topics_prefix, partitions=2)
    )
    with upped(tmp_path, own.bootstrap, topics_prefix) as data_dir:
        _send(own.bootstrap, f"{topics_prefix}content.low")
        until(lambda: len(_verdicts(settings)) > EVENTS // 10, within_s=60, what="work is under way")
        ((_, worker),) = worker_addresses(data_dir)
        with _away(own):
            before_kb = _resident_kb(worker.pid)
            time.sleep(AWAY_S[size is FULL])
            after_kb = _resident_kb(worker.pid)
            until(
                lambda: "Kafka has not answered for " in _waits_for(data_dir), within_s=10, what="it says so"
            )
        until(lambda: len(_verdicts(settings)) == EVENTS, within_s=120, what="all events have a verdict")
        until(lambda: not _waits_for(data_dir), within_s=10, what="the worker is ready again")
        log = (data_dir / "logs" / "worker-1.log").read_text(encoding="utf-8")
        assert (log.count("Kafka has not answered for"), log.count("Kafka answers again, after")) == (1, 1)
        assert "Traceback" not in log
        # The same process: nobody was started again.
        assert [address.pid for _, address in worker_addresses(data_dir)] == [worker.pid]
    assert after_kb < before_kb * GROWTH_MAX
    judged = _verdicts(settings)
    assert set(judged) == {f"post-{number}" for number in range(EVENTS)}
    assert set(judged.values()) == {1}


@contextmanager
def _away(kafka: EmbeddedKafka) -> Iterator[None]:
    kafka.kill()
    try:
        yield
    finally:
        kafka.start()


def _send(bootstrap: str, topic: str) -> None:
    """Twice as many as rules decide: the others wait for a node, and are in the middle of it all the time."""
    producer = ck.Producer({"bootstrap.servers": bootstrap})
    for number in range(EVENTS):
        text = f"thanks {number % 7}" if number % 2 else f"a long and winding letter about {number} things"
        event = {"v": 1, "kind": "moderate", "id": f"post-{number}", "text": text}
        producer.produce(topic, json.dumps(event).encode())
    assert producer.flush(30) == 0


def _verdicts(settings: Settings) -> Counter[str]:
    """How many effective verdicts each event has."""
    effective = EffectiveVerdicts()
    found = follow(settings, reach(settings), [f"{settings.topics.prefix}verdicts"], "start", on_and_on=False)
    verdicts = [decode_verdict(record.value) for record in found]
    return Counter(verdict.id for verdict in verdicts if effective.add(verdict))


def _waits_for(data_dir: Path) -> str:
    """Why the worker says that it is not ready."""
    (status,) = worker_statuses(data_dir).values()
    return status.waits_for if status else "it does not answer"


def _resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
