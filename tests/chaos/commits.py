"""What the brokers say that a group has committed, asked all through a trial, from outside of the group."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Self

import confluent_kafka as ck

from chaos.audit import Sample
from chaos.numbers import PARTITIONS, PROMPT, Place

_EVERY_S = 0.1
_ANSWER_S = 2.0


class Commits(threading.Thread):
    """Takes samples until it is stopped; a broker that is away has nothing to say."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        super().__init__(name="commits", daemon=True)
        self._servers = bootstrap
        self._prefix = prefix
        self._enough = threading.Event()
        self.samples: list[Sample] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self.join(30)

    @property
    def settled(self) -> int:
        """How many events are committed, as of the last sample."""
        return sum(self.samples[-1].committed.values()) if self.samples else 0

    def run(self) -> None:
        consumer = self._make()
        tps = [
            ck.TopicPartition(self._prefix + topic, partition)
            for topic in ("urgent", "patient")
            for partition in range(PARTITIONS)
        ]
        while not self._enough.is_set():
            try:
                self._note(consumer.committed(tps, timeout=_ANSWER_S))
            except ck.KafkaException:
                # One that was told of no brokers asks nobody any more.
                consumer.close()
                consumer = self._make()
            self._enough.wait(_EVERY_S)
        consumer.close()

    def _make(self) -> ck.Consumer:
        """In the group by name only: it never subscribes, so it is no member and moves nothing.

        The admin client asks brokers the same; librdkafka's aborted the process where a broker was killed
        meanwhile.
        """
        return ck.Consumer(
            {
                "bootstrap.servers": self._servers,
                "group.id": f"{self._prefix}group",
                "enable.auto.commit": False,
                "log_level": 0,
                **PROMPT,
            }
        )

    def _note(self, known: Sequence[ck.TopicPartition]) -> None:
        if any(tp.error for tp in known):
            return
        # The auditor's place is a topic without its prefix.
        committed = {
            Place(tp.topic.removeprefix(self._prefix), tp.partition): max(tp.offset, 0) for tp in known
        }
        self.samples.append(Sample(time.time() * 1_000, committed))
