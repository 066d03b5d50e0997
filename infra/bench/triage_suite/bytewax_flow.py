"""The same job as a Bytewax dataflow: its Kafka source, a map, its Kafka sink.

It flushes after each batch by itself, and keeps its positions once a second, in a database beside it. It
looks at no delivery report, so it does less than the others. Runs in an environment of its own (`peers.py`).
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from bytewax import operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from infra.bench.engine_suite.jobs import Job, Stopwatch
from infra.bench.triage_suite.work import Work, topics_of
from infra.kafka import producer_options
from schemas.event import Source
from schemas.settings import EngineSettings, KafkaSettings

_KAFKA = KafkaSettings()
_EPOCH = timedelta(seconds=1)


def run(job: Job, watch: Stopwatch) -> None:
    """Read to the ends of all partitions."""
    work = Work(topics_of(job))

    def worked(message: Any) -> KafkaSinkMessage[Any, Any]:
        watch.begin()
        source = Source(
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            timestamp_ms=message.timestamp[1],
        )
        outgoing = work(message.value, source)
        return KafkaSinkMessage(outgoing.key, outgoing.value, topic=outgoing.topic)

    [source] = job.routes
    flow = Dataflow("triage")
    batch = EngineSettings().batch_records_max
    records = op.input("in", flow, KafkaSource([job.bootstrap], [source], tail=False, batch_size=batch))
    options = {name: str(value) for name, value in producer_options(_KAFKA, job.bootstrap).items()}
    op.output("out", op.map("work", records, worked), KafkaSink([job.bootstrap], None, options))
    positions = Path(job.directory)
    positions.mkdir(parents=True)
    init_db_dir(positions, 1)
    cli_main(flow, epoch_interval=_EPOCH, recovery_config=RecoveryConfig(positions))
    watch.confirmed(source, job.total)
    watch.end()
