"""`penstock up`: starts everything in order, shows how it goes, and stops everything, whatever happens.

Order of starting: Kafka, topics, policy, node, workers, the demonstration's producer. Of stopping: the
opposite.
"""

from __future__ import annotations

import asyncio
import math
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from infra.clients import Cluster, Writer, reach
from infra.embedded.ports import free_port
from infra.errors import ExitCode
from infra.lag import LagReader
from infra.load.producing import PATIENCE_S, DemoProducer
from infra.load.tally import RunTally
from infra.load.traffic import Traffic
from infra.load.watching import Watch
from infra.running import NODE, address_of, untell, worker_statuses
from infra.showing import verdict_line
from infra.supervise import brokers, tree
from infra.supervise.deciding import is_in_a_hurry
from infra.supervise.hearing import Heard, hear
from infra.supervise.leftovers import ChildrenFile
from infra.supervise.lock import data_dir_lock, holder_of
from infra.supervise.screen import Screen
from infra.supervise.standing import Standing
from infra.supervise.supervisor import Supervisor
from infra.supervise.waiting import await_left_behind, beside
from infra.terminal import safe
from schemas.settings import Settings
from schemas.verdict import Verdict
from streams.ports import Clock

# A policy is compiled in less; a broker that does not answer is not waited for.
_LEFT_BEHIND_S = 2.0
_TICK_S = 0.1
_LISTEN_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What `up` was asked for beyond the settings."""

    with_kafka: bool = True
    demo: bool = False
    until: int | None = None
    rate_per_s: float = 20.0


def run_up(settings: Settings, flags: tree.Flags, wishes: Wishes, screen: Screen, clock: Clock) -> int:
    """Run everything until it is told to stop, enough verdicts have come, or a child is given up."""
    data_dir = Path(settings.data_dir)
    with data_dir_lock(data_dir):
        ChildrenFile(data_dir / "run").stop_all(screen.say)
        try:
            return asyncio.run(Up(settings, flags, wishes, screen, clock).run())
        finally:
            await_left_behind(_LEFT_BEHIND_S)


class Up:
    """One run of `up`."""

    def __init__(
        self, settings: Settings, flags: tree.Flags, wishes: Wishes, screen: Screen, clock: Clock
    ) -> None:
        self._settings = settings
        self._flags = flags
        self._wishes = wishes
        self._screen = screen
        self._clock = clock
        self._data_dir = Path(settings.data_dir)
        self._tally = RunTally()
        self._traffic = Traffic(token_hex(4))
        self._watch: Watch | None = None
        self._producer: DemoProducer | None = None
        self._heard = Heard()
        self._began_s = 0.0
        self._signalled_ms = -math.inf

    async def run(self) -> int:
        """Everything from the first start to the last stop; the exit code."""
        self._stop_asked: asyncio.Future[ExitCode] = asyncio.get_running_loop().create_future()
        self._hurry = asyncio.Event()
        self._listen_to_signals()
        self._supervisor = Supervisor(self._settings.supervise, self._data_dir, self._clock, self._screen.say)
        working = asyncio.create_task(self._work())
        try:
            ends: set[asyncio.Future[Any]] = {working, self._stop_asked}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            working.cancel()
            await asyncio.wait({working})
            await self._stop()
        if not working.cancelled() and (trouble := working.exception()) is not None:
            raise trouble
        return self._stop_asked.result() if self._stop_asked.done() else ExitCode.OK

    async def _work(self) -> None:
        """Start, then show how it stands; returns when enough verdicts have come."""
        self._screen.say(f"Data in {safe(str(self._data_dir))}, logs in {safe(str(self._data_dir / 'logs'))}")
        cluster = await self._start()
        giving_up = asyncio.create_task(self._supervisor.given_up())
        listening = asyncio.create_task(self._listen(cluster))
        try:
            while not self._is_done():
                await asyncio.wait({giving_up}, timeout=_TICK_S)
                if giving_up.done():
                    raise giving_up.result()
                self._look()
                self._heed_the_reader()
        finally:
            giving_up.cancel()
            listening.cancel()

    # -- starting ------------------------------------------------------------------------------------------

    async def _start(self) -> Cluster:
        await self._start_kafka()
        cluster = await beside(lambda: reach(self._settings))
        async with self._step("topics") as tell:
            made = await beside(lambda: brokers.ensure_topics(self._settings, cluster))
            tell(f"{made} made" if made else "all there")
        cluster = await beside(lambda: reach(self._settings))
        async with self._step("policy") as tell:
            is_new = await beside(lambda: brokers.ensure_policy(self._settings))
            tell("the default one published" if is_new else "there")
        await self._start_node()
        await self._start_workers()
        await self._start_watching(cluster)
        self._screen.say("Ready. Ctrl-C stops everything.")
        return cluster

    async def _start_kafka(self) -> None:
        async with self._step("kafka") as tell:
            if self._settings.kafka.bootstrap or not self._wishes.with_kafka:
                cluster = await beside(lambda: reach(self._settings))
                tell(f"using {safe(cluster.bootstrap)}")
            elif bootstrap := await beside(lambda: brokers.running_at(self._data_dir)):
                tell(f"runs already at {bootstrap}, and is left running")
            else:
                # The line in place is the download's.
                self._screen.close()
                await beside(lambda: brokers.fetch(self._data_dir, self._settings.embedded))
                self._screen.hint("  kafka    …")
                probe = brokers.KafkaProbe(self._data_dir)
                await self._supervisor.start([tree.kafka(self._flags, self._settings, probe.look)])
                tell(f"ready at {probe.bootstrap}")

    async def _start_node(self) -> None:
        async with self._step("node") as tell:
            if self._settings.nodes:
                names = ", ".join(safe(node.known_as) for node in self._settings.nodes)
                tell(f"using {names}")
                return
            if holder_of(self._data_dir, NODE) and (there := address_of(self._data_dir, NODE)):
                tell(f"runs already at {there.url} (pid {there.pid}), and is left running")
                return
            port = self._settings.reference_node.port or free_port()
            await self._supervisor.start([tree.node(self._flags, self._settings, port)])
            address = address_of(self._data_dir, NODE)
            tell(f"reference node ready at {address.url if address else port}")

    async def _start_workers(self) -> None:
        async with self._step("workers") as tell:
            await self._supervisor.start(tree.workers(self._flags, self._settings))
            tell(f"{self._settings.supervise.workers} started")

    async def _start_watching(self, cluster: Cluster) -> None:
        self._watch = await beside(lambda: Watch(self._settings, cluster))
        self._watch.start()
        self._began_s = self._clock.now_ms() / 1_000
        if self._wishes.demo:
            self._producer = DemoProducer(
                self._settings,
                Writer(self._settings, cluster, patience_s=PATIENCE_S),
                self._traffic,
                self._clock,
                rate_per_s=self._wishes.rate_per_s,
                quota=self._quota,
            )
            self._producer.start()
            self._say_step("demo", f"{self._wishes.rate_per_s:g} events a second, run {self._traffic.run}")

    @asynccontextmanager
    async def _step(self, name: str) -> AsyncIterator[Callable[[str], None]]:
        """One step of the start: what came of it is said with the time that it took."""
        began = time.perf_counter()
        self._screen.hint(f"  {name:<8} …")
        said: list[str] = []
        yield said.append
        self._say_step(name, f"{said[-1]} ({time.perf_counter() - began:.1f} s)")

    def _say_step(self, name: str, what: str) -> None:
        self._screen.say(f"  {name:<8} {what}")
        self._heed_the_reader()

    # -- running -------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Take in what has come, and show how it stands."""
        assert self._watch is not None
        self._supervisor.tend()
        for failure in (self._watch.failure, self._producer.failure if self._producer else None):
            if failure is not None:
                raise failure
        for told in self._producer.tidings() if self._producer else ():
            self._screen.say(told)
        for one in self._watch.seen():
            if self._wishes.demo and not self._traffic.is_own(one.id):
                continue
            if self._is_done():
                break
            if isinstance(one, Verdict):
                self._tally.add(one)
                if self._wishes.demo:
                    self._screen.stream(verdict_line(one))
            else:
                self._tally.dead_letters += 1
        if self._screen.is_status_due:
            self._screen.status(str(self._standing()))

    def _standing(self) -> Standing:
        return Standing(
            up=self._supervisor.up,
            children=len(self._supervisor.children),
            restarts=self._supervisor.restarts,
            sent=self._producer.sent if self._producer else None,
            tally=self._tally,
            elapsed_s=self._clock.now_ms() / 1_000 - self._began_s,
            heard=self._heard,
        )

    async def _listen(self, cluster: Cluster) -> None:
        """Ask now and again how far behind everything is."""
        lag = LagReader(self._settings, cluster)
        while True:
            self._heard = await beside(lambda: hear(worker_statuses(self._data_dir), lag.places, lag.behind))
            await asyncio.sleep(_LISTEN_EVERY_S)

    def _quota(self) -> int | None:
        """How many events the demonstration may send; what became a dead letter is sent again, as another."""
        return None if self._wishes.until is None else self._wishes.until + self._tally.dead_letters

    def _is_done(self) -> bool:
        return self._wishes.until is not None and self._tally.verdicts >= self._wishes.until

    # -- stopping ------------------------------------------------------------------------------------------

    async def _stop(self) -> None:
        """Stop everything: what sends first, Kafka last."""
        try:
            self._screen.close()
            if self._watch is not None:
                elapsed_s = self._clock.now_ms() / 1_000 - self._began_s
                sent, unsent = (self._producer.sent, self._producer.unsent) if self._producer else (None, 0)
                self._screen.say(self._tally.summary(elapsed_s=elapsed_s, sent=sent, unsent=unsent))
            own = [one.stop for one in (self._producer, self._watch) if one is not None]
            await asyncio.gather(*(beside(stop) for stop in own))
        finally:
            # Whatever goes wrong before: no child is left.
            await self._supervisor.stop(at_once=self._hurry)
            # One that was killed could not take it back.
            for child in self._supervisor.children.values():
                untell(self._data_dir / "run" / f"{child.name}.json", child.pid)

    def _heed_the_reader(self) -> None:
        """Stop when nobody reads any longer what is shown: nobody could stop it by Ctrl-C either."""
        if self._screen.is_reader_gone:
            self._ask_to_stop(ExitCode.READER_GONE)

    def _listen_to_signals(self) -> None:
        codes = {
            signal.SIGINT: ExitCode.INTERRUPTED,
            # Whoever asked for so many verdicts did not get them.
            signal.SIGTERM: ExitCode.OK if self._wishes.until is None else ExitCode.INTERRUPTED,
            signal.SIGHUP: ExitCode.OK if self._wishes.until is None else ExitCode.INTERRUPTED,
        }
        for number, code in codes.items():
            # `nohup` has the hang-up ignored, and so it stays.
            if signal.getsignal(number) is not signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number, code)

    def _on_signal(self, number: signal.Signals, code: ExitCode) -> None:
        """The first one stops; a second may kill at once."""
        now_ms = self._clock.now_ms()
        if not self._stop_asked.done():
            self._ask_to_stop(code)
            self._signalled_ms = now_ms
            self._supervisor.expect_stop()
            self._screen.say(
                "Stopping; Ctrl-C once more kills at once." if number == signal.SIGINT else "Stopping."
            )
        elif not self._hurry.is_set() and is_in_a_hurry(number, since_first_ms=now_ms - self._signalled_ms):
            self._hurry.set()
            self._screen.say("Killing what still runs.")

    def _ask_to_stop(self, code: ExitCode) -> None:
        if not self._stop_asked.done():
            self._stop_asked.set_result(code)
