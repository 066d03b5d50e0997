"""The stage as a worker makes it: engine, agent, publisher and all; only the policy comes from no topic."""

from __future__ import annotations

import asyncio

from infra.bench.engine_suite.jobs import Job, Stopwatch
from infra.bench.policies import book_of, large_policy
from infra.bench.triage_suite.work import topics_of
from infra.kafka import librdkafka_options, producer_options
from infra.memories import memories_of
from infra.stages import StageParts, make_stage
from schemas.settings import KafkaSettings, Settings, TopicSettings
from streams.clock import SystemClock
from streams.core.rules import compile_policy
from streams.dispatch import Dispatch
from streams.guidance import Guidance
from streams.observing import Tally
from streams.partitions import Partitions
from streams.publishing import KafkaPublisher
from streams.rescuing import Rescuer
from streams.tracing import NullTracer

# So long it looks whether the first record is here; what is done until then is not in the figures.
_LOOK_S = 0.001


async def run(job: Job, watch: Stopwatch) -> None:
    """Start, wait until everything is settled, commit, stop."""
    parts, publisher = _parts(job)
    partitions, app = make_stage("triage", parts)
    await app.start()
    try:
        await _first_record(partitions)
        watch.begin()
        settled = 0
        [source] = job.routes
        while not watch.is_done:
            partitions.progress.clear()
            watch.confirmed(source, partitions.counts.settled - settled)
            settled = partitions.counts.settled
            if not watch.is_done:
                await partitions.progress.wait()
        await app.consumer.commit()
        watch.end()
    finally:
        await app.stop()
        await publisher.close(1.0)


async def _first_record(partitions: Partitions) -> None:
    # No event tells of a fetch; and none is added to the engine for a bench.
    while not any(owned.watermark.unsettled for owned in partitions.owned.values()):  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_S)


def _parts(job: Job) -> tuple[StageParts, KafkaPublisher]:
    topics, tally, clock = topics_of(job), Tally(), SystemClock()
    policy = compile_policy(large_policy())
    settings = Settings(
        data_dir=job.directory,
        policy=policy.ref.id,
        kafka=KafkaSettings(bootstrap=job.bootstrap),
        topics=TopicSettings(prefix=topics.prefix, partitions=topics.partitions),
    )
    rescuer = Rescuer(librdkafka_options(settings.kafka, job.bootstrap))
    # Never started: the policy is at hand.
    guidance = Guidance(topics, {}, rescuer, tally, on_orders=lambda _: None, stop_worker=_raise)
    guidance.policies = book_of(policy)
    publisher = KafkaPublisher(producer_options(settings.kafka, job.bootstrap), on_fatal=_give_up)
    parts = StageParts(
        worker="bench",
        bootstrap=job.bootstrap,
        settings=lambda: settings,
        topics=topics,
        clock=clock,
        publisher=publisher,
        guidance=guidance,
        dispatch=Dispatch((), lambda: settings.judge, clock),
        # The fast path remembers nothing.
        memories=memories_of(
            settings,
            worker="bench",
            bootstrap=job.bootstrap,
            publisher=publisher,
            clock=clock,
            on_usable=lambda: None,
        ),
        tally=tally,
        tracer=NullTracer(),
        stop_worker=_raise,
    )
    return parts, publisher


def _raise(reason: BaseException) -> None:
    raise reason


def _give_up(reason: str) -> None:
    raise RuntimeError(reason)
