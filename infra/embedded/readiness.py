"""When an embedded Kafka is ready: it answers for all its brokers, and it has taken a record. Not before.

A broker that answers may still be unable to write: fenced, without a leader, on a full disk. So one record is
written to a topic of its own, replicated as all topics will be.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

# The stubs export it by accident of style only; it is documented as public.
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from infra.errors import ExitCode, Failure

TOPIC = "__penstock_ready"
# One look; a broker on this machine answers in milliseconds, and who waits wants to see a dead one soon.
_LOOK_S = 0.2
_WRITE_S = 2.0
# librdkafka says on stderr what it cannot reach; here that is the normal case, so it may say it to nobody.
_SILENT = logging.Logger("penstock.embedded.readiness", logging.CRITICAL)  # noqa: LOG001  One without a parent.
_SILENT.addHandler(logging.NullHandler())


def wait_until_ready(
    bootstrap: str,
    *,
    timeout_s: float,
    node_ids: Collection[int] = (1,),
    check: Callable[[], None] = lambda: None,
) -> None:
    """Return when it is ready; `check` is asked between two looks, and raises what is wrong with a broker."""
    deadline = time.monotonic() + timeout_s
    probe = Probe(bootstrap, node_ids)
    while reason := probe.look():
        check()
        if time.monotonic() >= deadline:
            raise Failure(
                f"The embedded Kafka at {bootstrap} was not ready within {timeout_s:g} s ({reason}): see "
                "`penstock kafka logs`, or raise embedded.start_timeout_s.",
                exit_code=ExitCode.EMBEDDED_KAFKA,
            )


class Probe:
    """Looks again and again with the same connections; these brokers must have joined."""

    def __init__(self, bootstrap: str, node_ids: Collection[int] = (1,)) -> None:
        options: dict[str, Any] = {
            "bootstrap.servers": bootstrap,
            "client.id": "penstock-ready",
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 100,
            "logger": _SILENT,
        }
        self._node_ids = frozenset(node_ids)
        self._admin = AdminClient(options)
        self._producer = Producer(
            options | {"acks": "all", "linger.ms": 0, "message.timeout.ms": int(_WRITE_S * 1_000)}
        )

    def look(self) -> str:
        """Why it is not ready yet; empty if it is."""
        try:
            metadata = self._admin.list_topics(timeout=_LOOK_S)
            absent = sorted(self._node_ids - set(metadata.brokers))
            if absent:
                return f"broker {absent[0]} has not joined"
            if TOPIC not in metadata.topics:
                self._create(len(metadata.brokers))
            return self._write()
        except KafkaException as error:
            return str(error.args[0].str())

    def _create(self, brokers: int) -> None:
        topic = NewTopic(
            TOPIC,
            num_partitions=1,
            replication_factor=min(3, brokers),
            config={"cleanup.policy": "compact"},
        )
        try:
            self._admin.create_topics([topic], operation_timeout=_WRITE_S)[TOPIC].result(_WRITE_S)
        except KafkaException as error:
            # Two may wait for one broker.
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        except TimeoutError:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None  # noqa: SLF001  A code's name.

    def _write(self) -> str:
        answers: list[KafkaError | None] = []
        self._producer.produce(
            TOPIC, key=b"ready", value=b"", on_delivery=lambda error, _message: answers.append(error)
        )
        self._producer.flush(_WRITE_S + 1)
        if not answers:
            return "a write is not answered"
        return "" if answers[0] is None else answers[0].str()
