"""What a transaction for each batch costs beside commits now and then: two loops over the same records.

Run by hand, `python -m infra.bench.engine_suite.transactions`, for decision 0002. Both copy a topic and wait
until a batch is confirmed before they go on; one commits every half second, the other with every batch.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from infra.embedded import EmbeddedKafka
from schemas.settings import EmbeddedSettings

_RECORDS = 20_000
_BATCHES_MAX = 400
_BATCHES = (500, 50, 5)
_ROUNDS = 3
_VALUE = b"x" * 300
_COMMIT_EVERY_S = 0.5
_WITHIN_S = 30


def main() -> int:
    """Print a table."""
    with (
        tempfile.TemporaryDirectory() as directory,
        EmbeddedKafka(Path(directory) / "kafka", EmbeddedSettings()) as kafka,
    ):
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        for made in admin.create_topics([NewTopic("in", 1, 1), NewTopic("out", 1, 1)]).values():
            made.result(_WITHIN_S)
        source = ck.Producer({"bootstrap.servers": kafka.bootstrap})
        for _ in range(_RECORDS):
            source.produce("in", _VALUE)
        source.flush(_WITHIN_S)
        for batch in _BATCHES:
            for is_transactional in (False, True):
                rounds = [
                    _copied(kafka.bootstrap, batch, is_transactional=is_transactional) for _ in range(_ROUNDS)
                ]
                wall_ms, cpu_us = sorted(rounds)[_ROUNDS // 2]
                name = "transactions" if is_transactional else "reports"
                sys.stdout.write(
                    f"{name}, batches of {batch}: {wall_ms:.1f} ms each, {cpu_us:.1f} us of CPU a record\n"
                )
    return 0


def _copied(bootstrap: str, batch: int, *, is_transactional: bool) -> tuple[float, float]:
    """Milliseconds of a batch, and microseconds of CPU of a record."""
    group = f"{batch}-{is_transactional}-{time.monotonic_ns()}"
    consumer = ck.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    transactional = {"transactional.id": group} if is_transactional else {}
    producer = ck.Producer(
        {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 0, **transactional}
    )
    if is_transactional:
        producer.init_transactions(_WITHIN_S)
    consumer.subscribe(["in"])
    done = len(consumer.consume(1, _WITHIN_S))
    began, cpu, batches, committed_s = time.monotonic(), time.process_time(), 0, time.monotonic()
    wanted = min(_RECORDS - batch, batch * _BATCHES_MAX)
    while done < wanted:
        messages = consumer.consume(batch, 1)
        done += len(messages)
        batches += 1
        if is_transactional:
            producer.begin_transaction()
        producer.produce_batch("out", [{"value": message.value()} for message in messages])
        if is_transactional:
            places = consumer.position(consumer.assignment())
            producer.send_offsets_to_transaction(places, consumer.consumer_group_metadata(), _WITHIN_S)
            producer.commit_transaction(_WITHIN_S)
            continue
        producer.flush(_WITHIN_S)
        if time.monotonic() - committed_s > _COMMIT_EVERY_S:
            consumer.commit(asynchronous=False)
            committed_s = time.monotonic()
    took_s, cpu_s = time.monotonic() - began, time.process_time() - cpu
    consumer.close()
    return took_s * 1_000 / batches, cpu_s * 1e6 / done


if __name__ == "__main__":
    sys.exit(main())
