"""Where contenders meet: a broker, filled topics, a process for each run, and a look at the output.

A contender keeps to one half of the CPUs, where there is more than one; the broker goes where it likes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import confluent_kafka as ck
import msgspec
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

import infra
from infra.bench.engine_suite.jobs import Job, Outcome, Work
from infra.bench.posts import posts
from infra.embedded import EmbeddedKafka
from infra.kafka import librdkafka_options
from schemas.settings import EmbeddedSettings, KafkaSettings

PARTITIONS = 8
ROOT = Path(infra.__file__).parents[1]
_UNDER_WAY_MAX = 50_000
_WITHIN_S = 300.0
_MADE_WITHIN_S = 30.0


@dataclass
class Arena:
    """One broker, and the runs on it."""

    bootstrap: str
    directory: Path
    cpus: tuple[int, ...]
    """Where contenders run."""
    prefix: str = ""
    interpreters: dict[str, str] = field(default_factory=dict)
    """Of the contenders that have an environment of their own."""
    _number: Iterator[int] = field(default_factory=count)
    _values: list[bytes] = field(default_factory=lambda: posts(1_000))

    @property
    def post(self) -> bytes:
        """One of those in the topics."""
        return self._values[0]

    @property
    def _options(self) -> dict[str, Any]:
        return librdkafka_options(KafkaSettings(), self.bootstrap)

    def job(self, contender: str, work: Work, routes: dict[str, str], records: Mapping[str, int]) -> Job:
        """A run in a group of its own."""
        number = next(self._number)
        return Job(
            contender=contender,
            work=work,
            bootstrap=self.bootstrap,
            group=f"{self.prefix}bench-{number}",
            routes=routes,
            records=dict(records),
            directory=str(self.directory / f"run-{number}"),
            cpus=self.cpus,
        )

    def new_prefix(self) -> str:
        """For topics whose names are given."""
        return f"{self.prefix}run-{next(self._number)}-"

    def topic(self, name: str, *, partitions: int = PARTITIONS) -> str:
        """A new topic."""
        return self.made(f"{self.prefix}{name}-{next(self._number)}", partitions=partitions)

    def made(self, name: str, *, partitions: int = PARTITIONS) -> str:
        """A new topic of just this name."""
        admin = AdminClient(self._options)
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(30)
        deadline_s = time.monotonic() + _MADE_WITHIN_S
        while not self._leads(name, partitions):
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{name} has no leaders after {_MADE_WITHIN_S:g} s")
        return name

    def delete(self, *topics: str) -> None:
        """Give back what they take on the disk."""
        admin = AdminClient(self._options)
        for deleted in admin.delete_topics(list(topics)).values():
            deleted.result(_MADE_WITHIN_S)

    def _leads(self, topic: str, partitions: int) -> bool:
        """Whether the broker has taken charge of all partitions: for a moment, a new one is nobody's."""
        try:
            return len(self.ends(topic)) == partitions
        except ck.KafkaException:
            return False

    def filled(self, name: str, records: int, *, partitions: int = PARTITIONS) -> str:
        """A new topic with so many posts in it."""
        topic = self.topic(name, partitions=partitions)
        self.fill(topic, records, self._values, partitions=partitions)
        return topic

    def fill(
        self, topic: str, records: int, values: Sequence[bytes], *, partitions: int = PARTITIONS
    ) -> None:
        """Write so many records, with these values in turns."""
        producer = ck.Producer({**self._options, "linger.ms": 20})
        for number in range(records):
            while len(producer) >= _UNDER_WAY_MAX:
                producer.poll(0.1)
            value = values[number % len(values)]
            # As long as a tenant and an id.
            key = f"default/3f0e9b52-7c1d-4e7a-{number:016d}".encode()
            producer.produce(topic, value, key, number % partitions)
        if left := producer.flush(60):
            raise TimeoutError(f"{left} records of the input were not written")

    def run(self, job: Job) -> Outcome:
        """Run a contender to its end, and see that all of its output is there."""
        with self.running(job) as contender:
            return contender.outcome()

    @contextmanager
    def running(self, job: Job) -> Iterator[Contender]:
        """A contender at work, beside which others may do something."""
        before = self._written(job)
        interpreter = self.interpreters.get(job.contender)
        # Another interpreter finds our modules here, and nothing else of ours. What its libraries warn of is
        # for their makers.
        others = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        environment = {**os.environ, **others} if interpreter else None  # noqa: TID251
        command = [
            interpreter or sys.executable,
            "-m",
            "infra.bench.engine_suite.child",
            msgspec.json.encode(job).decode(),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            try:
                yield Contender(job, process)
            finally:
                process.kill()
        outputs = self._written(job) - before
        if outputs != job.total:
            raise AssertionError(f"{job.contender}: {outputs} outputs for {job.total} records")

    def _written(self, job: Job) -> int:
        return sum(end for topic in {*job.routes.values(), *job.outputs} for end in self.ends(topic))

    def ends(self, topic: str) -> Sequence[int]:
        """How many records each partition of a topic has."""
        consumer = ck.Consumer({**self._options, "group.id": "none"})
        try:
            known = consumer.list_topics(topic, timeout=30).topics[topic].partitions
            return [
                consumer.get_watermark_offsets(ck.TopicPartition(topic, at), timeout=30)[1] for at in known
            ]
        finally:
            consumer.close()


@dataclass
class Contender:
    """A contender's process."""

    job: Job
    process: subprocess.Popen[str]

    def outcome(self) -> Outcome:
        """Wait until it is done."""
        said, _ = self.process.communicate(timeout=_WITHIN_S)
        if self.process.returncode:
            raise AssertionError(f"{self.job.contender} failed with {self.process.returncode}")
        return msgspec.json.decode(said.splitlines()[-1], type=Outcome)


@contextmanager
def arena() -> Iterator[Arena]:
    """Start a broker, and stop it at the end."""
    cpus = sorted(os.sched_getaffinity(0))
    half = len(cpus) // 2
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        kafka = EmbeddedKafka(Path(directory) / "kafka", EmbeddedSettings())
        kafka.start()
        try:
            yield Arena(kafka.bootstrap, Path(directory), tuple(cpus[half:]))
        finally:
            kafka.stop()
