"""What the engine costs: records through it on a real broker, beside a plain loop that loses as little.

The rounds of both take turns on one broker, each as a new group that reads the same records from the start.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from infra.bench.passing import Passage, Spent, engine, plain_loop
from infra.bench.posts import posts
from infra.bench.report import Finding
from infra.embedded import EmbeddedKafka
from schemas.settings import EmbeddedSettings

_RECORDS = 150_000
_PARTITIONS = 8
_ROUNDS = 3
_SOURCE, _TARGET = "bench-in", "bench-out"
# Half of what librdkafka's queue takes by default.
_UNDER_WAY_MAX = 50_000
# Seen 1.9 to 2.5: aiokafka's fetch in Python beside librdkafka's in C, Faust's event per batch, and the book
# of what is settled. The bounds leave room for a busy machine; work on the engine will tighten them.
_CPU_RATIO_MAX = 4.0
# Seen 0.5 to 0.7. Wall time, unlike CPU time, tells of the neighbours and the broker, too.
_RATE_RATIO_MIN = 0.2


def run() -> Iterable[Finding]:
    """Pass the same records both ways, in turns."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        kafka = EmbeddedKafka(Path(directory) / "kafka", EmbeddedSettings())
        with kafka:
            yield from _on(Passage(kafka.bootstrap, _SOURCE, _TARGET, _RECORDS), Path(directory))


def _on(passage: Passage, directory: Path) -> Iterable[Finding]:
    _fill(passage)
    ours: list[Spent] = []
    peers: list[Spent] = []
    for number in range(_ROUNDS):
        ours.append(engine(passage, f"ours-{number}", directory / f"faust-{number}"))
        peers.append(plain_loop(passage, f"plain-{number}"))
    yield Finding(
        what="CPU per record passed on",
        ours=_cpu_us(ours),
        peer=_cpu_us(peers),
        unit="us",
        target=_CPU_RATIO_MAX,
    )
    yield Finding(
        what="records passed on",
        ours=_rate(ours),
        peer=_rate(peers),
        unit="/s",
        target=_RATE_RATIO_MIN,
        bound="at least",
    )


def _cpu_us(rounds: Iterable[Spent]) -> float:
    return median(spent.cpu_s for spent in rounds) * 1e6 / _RECORDS


def _rate(rounds: Iterable[Spent]) -> float:
    return _RECORDS / median(spent.wall_s for spent in rounds)


def _fill(passage: Passage) -> None:
    """Make the topics, and fill the one to read."""
    admin = AdminClient({"bootstrap.servers": passage.bootstrap})
    topics = [NewTopic(name, _PARTITIONS, 1) for name in (passage.source, passage.target)]
    for made in admin.create_topics(topics).values():
        made.result(30)
    producer = ck.Producer({"bootstrap.servers": passage.bootstrap, "linger.ms": 20})
    values = posts(1_000)
    for number in range(passage.records):
        value = values[number % len(values)]
        while len(producer) >= _UNDER_WAY_MAX:
            producer.poll(0.1)
        producer.produce(passage.source, value, str(number).encode(), number % _PARTITIONS)
    if left := producer.flush(30):
        raise TimeoutError(f"{left} records of the input were not written")
