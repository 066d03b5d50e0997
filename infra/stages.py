"""Making one stage of a worker: its partitions, its Faust app with the engine under it, its agent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import faust

from agents import judge, triage
from infra.kafka import aiokafka_group_options, aiokafka_options, librdkafka_options
from infra.running import identity_of
from schemas.dead_letter import Stage
from schemas.memory import Memo
from schemas.settings import Settings
from streams.app import stage_app
from streams.campaigning import Campaigns
from streams.core.pressure import Bounds
from streams.core.reusing import Questions
from streams.dead_lettering import DeadLetters
from streams.dispatch import Dispatch
from streams.failing import Failing
from streams.fetching import TransportOptions
from streams.guidance import Guidance
from streams.observing import Tally
from streams.partitions import Partitions
from streams.ports import Clock, Publisher
from streams.remembering import Memories
from streams.rescuing import Rescuer
from streams.settling import Settling
from streams.sharing import Sharing, SharingSettings
from streams.topics import Topics
from streams.traced_publishing import TracedPublisher
from streams.tracing import Tracer


@dataclass(frozen=True, slots=True, kw_only=True)
class StageParts:
    """What the stages of one worker have in common."""

    worker: str
    bootstrap: str
    settings: Callable[[], Settings]
    """Asked each time, because some settings change while the worker runs."""
    topics: Topics
    clock: Clock
    publisher: Publisher
    guidance: Guidance
    dispatch: Dispatch
    memories: Memories
    tally: Tally
    tracer: Tracer
    stop_worker: Callable[[BaseException], None]


def make_stage(stage: Stage, parts: StageParts) -> tuple[Partitions, faust.App]:
    """A stage, ready to be started."""
    partitions = Partitions(
        stage=stage,
        group=f"{parts.topics.prefix}penstock.{stage}",
        clock=parts.clock,
        bounds=lambda: _bounds(parts.settings()),
        urgency_of=parts.topics.urgency_of,
        commit_records_max=parts.settings().engine.commit_records_max,
        paused=parts.topics.of_priorities(parts.guidance.orders.paused),
    )
    app = _app(partitions, parts)
    _register(stage, app, partitions, parts)
    return partitions, app


def _app(partitions: Partitions, parts: StageParts) -> faust.App:
    settings = parts.settings()
    data_dir = Path(settings.data_dir)
    datadir = data_dir / "faust" / parts.worker / partitions.stage
    datadir.mkdir(parents=True, exist_ok=True)
    connection = aiokafka_options(settings.kafka, parts.bootstrap)
    return stage_app(
        group=partitions.group,
        options=TransportOptions(
            partitions=partitions,
            consumer_options=connection | aiokafka_group_options(settings.kafka),
            rescuer=Rescuer(librdkafka_options(settings.kafka, parts.bootstrap)),
            batch_records_max=settings.engine.batch_records_max,
            drain_timeout_ms=settings.engine.drain_timeout_ms,
        ),
        datadir=datadir,
        # The same member after a restart; never the same as a worker of another directory.
        instance=f"{parts.worker}.{partitions.stage}.{identity_of(data_dir)}",
        commit_interval_ms=settings.engine.commit_interval_ms,
    )


def _register(stage: Stage, app: faust.App, partitions: Partitions, parts: StageParts) -> None:
    dead_letters = DeadLetters(stage, parts.topics, parts.clock)
    publisher = TracedPublisher(parts.publisher, parts.topics.verdicts, parts.tracer, parts.clock)
    settling = Settling(publisher, dead_letters, parts.tally)
    failing = Failing(partitions, condemn=settling.condemn, stop_worker=parts.stop_worker)
    match stage:
        case "triage":
            triage.register(
                app,
                triage.Triage(
                    topics=parts.topics,
                    default_policy=parts.settings().policy,
                    policies=parts.guidance.policies,
                    limits=lambda: parts.settings().limits,
                    orders=lambda: parts.guidance.orders,
                    secret=parts.settings().secret.reveal().encode(),
                    clock=parts.clock,
                    settling=settling,
                    dead_letters=dead_letters,
                    tally=parts.tally,
                    tracer=parts.tracer,
                    failing=failing,
                ),
            )
        case "judge":
            campaigns = Campaigns(
                lambda: parts.settings().campaigns, parts.publisher, parts.topics, parts.tally
            )
            sharing = _sharing(parts)
            partitions.on_open += (parts.memories.own, campaigns.own)
            partitions.is_kept_waiting = lambda tp: sharing.is_held(
                tp.partition, parts.topics.urgency_of(tp.topic)
            )
            parts.dispatch.on_overdue = sharing.release_overdue
            # Who waits for others is given up first, or each would be asked about in turn.
            partitions.on_drain += (sharing.begin_drain, parts.dispatch.begin_drain)
            judge.register(
                app,
                judge.Judge(
                    topics=parts.topics,
                    policies=parts.guidance.policies,
                    orders=lambda: parts.guidance.orders,
                    sharing=sharing,
                    campaigns=campaigns,
                    clock=parts.clock,
                    settling=settling,
                    dead_letters=dead_letters,
                    tally=parts.tally,
                    tracer=parts.tracer,
                    failing=failing,
                    stop_worker=parts.stop_worker,
                ),
            )


def _sharing(parts: StageParts) -> Sharing:
    """Asked each time: what settings and orders say while the worker runs."""

    def settings() -> SharingSettings:
        return SharingSettings(parts.settings().memory.enabled, parts.settings().judge.copies_waiting_max)

    def refuses(memo: Memo) -> bool:
        return parts.guidance.orders.cuts.refuses(memo)

    return Sharing(
        recall=parts.memories,
        dispatch=parts.dispatch,
        questions=Questions(parts.settings().secret.reveal().encode()),
        settings=settings,
        refuses=refuses,
        clock=parts.clock,
    )


def _bounds(settings: Settings) -> Bounds:
    engine = settings.engine
    return Bounds(
        partition_records_max=engine.unsettled_records_max,
        partition_bytes_max=engine.unsettled_bytes_max,
        total_records_max=engine.unsettled_records_total_max,
        total_bytes_max=engine.unsettled_bytes_total_max,
    )
