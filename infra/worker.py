"""The composition root: makes one worker out of settings, runs it, and stops it within one deadline.

The only place that knows every part. A worker runs one stage or both, each a Faust app of its own in one
event loop, with one publisher, one set of nodes, and one picture of policy and orders between them.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import faust
from mode import Service
from mode.threads import WorkerThread

from infra.ends import HeldEnds
from infra.errors import ExitCode, Failure
from infra.http import WorkerHttp
from infra.kafka import (
    admin_client,
    aiokafka_options,
    await_broker,
    bootstrap_of,
    librdkafka_options,
    producer_options,
)
from infra.logs import set_level
from infra.memories import memories_of
from infra.mishaps import listen
from infra.nodes.configured import nodes_of, terms_of
from infra.reasons import code_of, last_words, told
from infra.running import tell, untell
from infra.settings import Loaded, Reloader
from infra.stages import StageParts, make_stage
from infra.telemetry import open_tracer
from infra.topics import check
from schemas.dead_letter import Stage
from schemas.event import PRIORITIES
from schemas.settings import Settings
from streams.clock import SystemClock
from streams.core.orders import Orders
from streams.dispatch import Dispatch
from streams.guidance import Guidance
from streams.observing import AWAY_AFTER_MS, PolicyStatus, Tally, WorkerStatus
from streams.partitions import Partitions
from streams.publishing import KafkaPublisher
from streams.rescuing import Rescuer
from streams.topics import Topics
from streams.watching import Watchdog

STAGES: tuple[Stage, ...] = ("triage", "judge")
# What a stop takes beside the drain: commits, closing connections, the last spans. With the default drain
# that makes 7 s, and `up` kills after 8.
_STOP_SPARE_S = 2.0
# A thread that was told to stop has at most to close connections, which it was given time for before.
_THREADS_END_S = 0.5
_LOOK_S = 0.02
# Who comes when the time is over still gets a moment to close what is at hand.
_STOP_LEAST_S = 0.1
# The stages' objects live as long as the worker; a second generation that is looked at rarely leaves the loop
# alone. To look at 5,000 young objects takes a millisecond; at 20,000, more than the loop may be kept for.
_GC_THRESHOLDS = (5_000, 40, 50)

_HOUR_MS = 3_600_000

log = logging.getLogger("penstock.worker")


class Worker:
    """One worker process."""

    def __init__(self, loaded: Loaded, name: str, stages: Sequence[Stage]) -> None:
        settings = loaded.settings
        self.settings = settings
        self.name = name
        self.stages = tuple(stages)
        self.topics = Topics.of(settings.topics)
        self.clock = SystemClock()
        self.tally = Tally()
        self.partitions: dict[Stage, Partitions] = {}
        self._apps: list[faust.App] = []
        self._watching: list[asyncio.Future[None]] = []
        self._reloader = Reloader(loaded, self._take_up, report=log.info)
        self._stopping = asyncio.Event()
        self._code = ExitCode.OK
        self._why = ""
        self.is_stuck = False
        """Whether a part did not stop in time: a thread that waits for a broker may then never end."""
        self._bootstrap = bootstrap_of(settings)
        self._tracer = open_tracer(settings.telemetry, instance=name)
        self._publisher = KafkaPublisher(
            producer_options(settings.kafka, self._bootstrap),
            on_fatal=self._producer_died,
            on_forbidden=self.stop,
            on_trouble=self.tally.error,
        )
        self._dispatch = Dispatch(
            nodes_of(settings, self.clock) if "judge" in stages else (),
            lambda: self.settings.judge,
            self.clock,
            terms=partial(terms_of, settings),
        )
        self._memories = memories_of(
            settings,
            worker=name,
            bootstrap=self._bootstrap,
            publisher=self._publisher,
            clock=self.clock,
            on_usable=self._memory_is_usable,
        )
        self._rescuer = Rescuer(librdkafka_options(settings.kafka, self._bootstrap))
        self._watchdog = Watchdog(
            self.partitions.values,
            self._dispatch,
            lambda: self.settings.engine,
            settings.topics.content_retention_hours * _HOUR_MS,
            self.tally,
            self._rescuer,
        )
        self._ends = HeldEnds(self.partitions.values, lambda: admin_client(settings.kafka, self._bootstrap))
        self._http = WorkerHttp(settings.http.host, settings.http.port, self.status)
        self._guidance = Guidance(
            self.topics,
            aiokafka_options(settings.kafka, self._bootstrap),
            self._rescuer,
            self.tally,
            on_orders=self._obey,
            stop_worker=self.stop,
        )

    def __repr__(self) -> str:
        return f"<Worker {self.name} | {', '.join(map(repr, self.partitions.values()))} | {self._dispatch!r}>"

    # -- life -----------------------------------------------------------------------------------------------

    async def run(self) -> ExitCode:
        """Work until a signal, or until something happens after which the worker may not go on."""
        loop = asyncio.get_running_loop()
        listen(loop, self.stop)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reloader.ask)
        gc.set_threshold(*_GC_THRESHOLDS)
        reloading = loop.create_task(self._reloader.run())
        reloading.add_done_callback(self._reloading_ended)
        try:
            await self._until_stopping(self._start())
            await self._stopping.wait()
        except Failure:
            raise
        except Exception as trouble:
            # What Kafka does to a start is no mistake of ours.
            if code_of(trouble) == ExitCode.UNEXPECTED:
                raise
            self.stop(trouble)
        finally:
            reloading.cancel()
            await self._stop()
        if self.is_stuck:
            log.warning("not everything stopped in time; leaving as it is")
        return self._code

    @property
    def last_words(self) -> str:
        """Why it stopped by itself, and where to read what to do about it."""
        return last_words(self._code, self._why)

    def _reloading_ended(self, reloading: asyncio.Task[None]) -> None:
        if not reloading.cancelled() and (bug := reloading.exception()) is not None:
            self.stop(bug)

    async def _start(self) -> None:
        await asyncio.to_thread(await_broker, self.settings.kafka, self._bootstrap)
        await asyncio.to_thread(check, self.settings, self._bootstrap)
        url = await self._http.start()
        tell(self._told_at, url)
        await self._start_service(self._guidance)
        if self._guidance.policies.active(self.settings.policy) is None:
            raise Failure(
                f"No policy `{self.settings.policy}` is active in the topic {self.topics.policy}: "
                "publish one with `penstock policy push FILE`.",
                exit_code=ExitCode.POLICY,
            )
        gc.freeze()
        await self._start_service(self._dispatch)
        await self._start_service(self._memories)
        # Before those at which they look: to start one may take as long as Kafka is away.
        await self._start_service(self._watchdog)
        await self._start_service(self._ends)
        for stage in self.stages:
            self.partitions[stage], app = make_stage(stage, self._stage_parts())
            if stage == "judge":
                self._hold_back(self.partitions[stage])
            self._apps.append(app)
            await self._start_service(app)
        log.info("%r works", self)

    def _hold_back(self, partitions: Partitions) -> None:
        """Fetch nothing more of what the lanes have enough of."""
        partitions.crowded = self._dispatch.paused_lanes
        self._dispatch.on_room = partitions.progress.set

    def _stage_parts(self) -> StageParts:
        return StageParts(
            worker=self.name,
            bootstrap=self._bootstrap,
            settings=lambda: self.settings,
            topics=self.topics,
            clock=self.clock,
            publisher=self._publisher,
            guidance=self._guidance,
            dispatch=self._dispatch,
            memories=self._memories,
            tally=self.tally,
            tracer=self._tracer,
            stop_worker=self.stop,
        )

    async def _start_service(self, service: Service) -> None:
        await service.start()
        self._watching.append(asyncio.ensure_future(self._watch(service)))

    async def _watch(self, service: Service) -> None:
        """A part that crashes takes the worker with it; the next start goes on from the commit."""
        await service.wait()
        if service.crash_reason is not None:
            self.stop(service.crash_reason)

    async def _until_stopping(self, starting: Coroutine[Any, Any, None]) -> None:
        """Start, unless told to stop before that is done."""
        task = asyncio.ensure_future(starting)
        stop = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        elif (trouble := task.exception()) is not None:
            raise trouble

    async def _stop(self) -> None:
        """Drain and commit, then give back everything, the last made first; all within one deadline."""
        untell(self._told_at)
        budget_s = self.settings.engine.drain_timeout_ms / 1_000 + _STOP_SPARE_S
        deadline = asyncio.get_running_loop().time() + budget_s
        await self._within(deadline, asyncio.gather(self._watchdog.stop(), self._ends.stop()))
        await self._within(deadline, asyncio.gather(*(app.stop() for app in self._apps)))
        await self._within(deadline, self._dispatch.stop())
        if left := await self._publisher.close(_left_s(deadline)):
            log.warning("%d records were not confirmed; what they came from will be delivered again", left)
        # What was confirmed until now is still remembered.
        await self._within(deadline, self._memories.stop())
        await self._within(deadline, self._guidance.stop())
        await self._within(deadline, self._http.stop())
        await self._within(deadline, asyncio.gather(*self._watching))
        await asyncio.to_thread(self._tracer.close, _left_s(deadline))
        await self._threads_end()

    async def _threads_end(self) -> None:
        """Wait a little for the threads that talk to brokers.

        One whose start was overtaken by the stop (a right that is missing is told in its first second) hears
        of neither, and Python would wait for it for ever.
        """
        deadline = asyncio.get_running_loop().time() + _THREADS_END_S
        while any(isinstance(thread, WorkerThread) for thread in threading.enumerate()):
            if asyncio.get_running_loop().time() > deadline:
                self.is_stuck = True
                return
            await asyncio.sleep(_LOOK_S)

    async def _within(self, deadline: float, stopping: Awaitable[object]) -> None:
        """Wait for a part to stop, but no longer than there is time: nothing depends on its end any more."""
        try:
            await asyncio.wait_for(stopping, _left_s(deadline))
        except TimeoutError:
            self.is_stuck = True
        except Exception as trouble:  # noqa: BLE001 - whatever one part does, the others are to be stopped
            log.warning("a part did not stop well: %s", type(trouble).__name__)

    def stop(self, reason: BaseException) -> None:
        """Stop because the worker may not go on; the first reason stands."""
        code = code_of(reason)
        if self._code == ExitCode.OK:
            self._code, self._why = code, told(reason)
            log.error("stopping with code %d (%s): %s", code, code.name.lower(), self._why)
            self.tally.error(self._why)
        self._stopping.set()

    def _producer_died(self, reason: str) -> None:
        self.stop(
            Failure(f"Kafka refuses our producer for good: {reason}", exit_code=ExitCode.PRODUCER_FATAL)
        )

    @property
    def _told_at(self) -> Path:
        return Path(self.settings.data_dir) / "run" / f"{self.name}.json"

    # -- what comes in beside events ------------------------------------------------------------------------

    def _obey(self, orders: Orders) -> None:
        for partitions in self.partitions.values():
            partitions.pause(self.topics.of_priorities(orders.paused))
        self._memories.obey(orders.cuts.refuses)
        self._dispatch.drain(orders.drained)

    def _memory_is_usable(self) -> None:
        if judge := self.partitions.get("judge"):
            # Whoever waits for it to fetch looks again.
            judge.progress.set()

    def _take_up(self, settings: Settings, _changed: list[str]) -> None:
        """Live settings have changed; components ask for them each time."""
        self.settings = settings
        self._memories.take_up(settings.memory)
        set_level(settings.telemetry.log_level)

    # -- what it says of itself -----------------------------------------------------------------------------

    def status(self) -> WorkerStatus:
        """A picture of now."""
        waits_for = self.waits_for
        status = WorkerStatus(
            worker=self.name,
            pid=os.getpid(),
            ready=not waits_for,
            waits_for=waits_for,
            stages=tuple(partitions.status() for partitions in self.partitions.values()),
            lanes=self._dispatch.lanes() if "judge" in self.stages else (),
            nodes=self._dispatch.nodes() if "judge" in self.stages else (),
            policies=tuple(
                PolicyStatus(id=ref.id, version=ref.version, digest=ref.digest)
                for ref in self._guidance.policies.refs()
            ),
            enforce=self._guidance.orders.enforce,
            paused=tuple(one for one in PRIORITIES if one in self._guidance.orders.paused),
            purged=self._guidance.orders.purged,
            memory=self._memories.status() if self._remembers else None,
        )
        return self.tally.onto(status)

    @property
    def _remembers(self) -> bool:
        return "judge" in self.stages and self.settings.memory.enabled

    @property
    def waits_for(self) -> str:
        """Why the worker does not judge; empty while every stage has its partitions and Kafka answers."""
        if self._stopping.is_set():
            return "The worker is stopping."
        away_ms = max((partitions.away_ms() for partitions in self.partitions.values()), default=0.0)
        if away_ms >= AWAY_AFTER_MS:
            return f"Kafka has not answered for {away_ms / 1_000:.0f} s."
        for stage in self.stages:
            if stage not in self.partitions:
                return f"{stage} has not started yet."
            if not self.partitions[stage].counts.rebalances:
                return f"{stage} was not given its partitions yet."
        return ""


def _left_s(deadline: float) -> float:
    return max(_STOP_LEAST_S, deadline - asyncio.get_running_loop().time())
