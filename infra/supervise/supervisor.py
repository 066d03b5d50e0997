"""Keeps all children: starts them in order, restarts what dies or gives up, stops all within one deadline.

What to do about a death is decided in `deciding`; here it is done, and told to whoever watches.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from infra.errors import ExitCode, Failure
from infra.supervise.child import Child, Spec
from infra.supervise.deciding import Death, GiveUp, Restart, how, is_blameless, restart_or_give_up
from infra.supervise.leftovers import ChildrenFile
from infra.supervise.logs import RotatingLog
from infra.supervise.reaping import Reaper
from infra.terminal import visible
from schemas.settings import SuperviseSettings
from streams.ports import Clock

_PROBE_EVERY_S = 0.05
# What the stages that stop last are left with, whatever the first takes: Kafka closes its logs in under 1 s.
_STAGE_RESERVE_S = 0.75
# A Ctrl-C may meet a child in the instant before it has a session of its own. Then `up` was sent it, too, and
# hears of it in no time.
_SAME_SIGNAL_S = 0.3
# Kafka is the last to stop and may take this long beyond the workers' time: 8 + 1.5 s is within the 10 s that
# an operator is promised.
_STOP_EXTRA_S = 1.5


class Supervisor:
    """All children of one `up`."""

    def __init__(
        self,
        settings: SuperviseSettings,
        data_dir: Path,
        clock: Clock,
        tell: Callable[[str], None],
    ) -> None:
        self.children: dict[str, Child] = {}
        self._settings = settings
        self._logs_dir = data_dir / "logs"
        self._clock = clock
        self._tell = tell
        self._file = ChildrenFile(data_dir / "run")
        self._reaper = Reaper()
        self._stages: list[list[Child]] = []
        self._alive: dict[str, int] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._is_stopping = False
        self._given_up: asyncio.Future[Failure] = asyncio.get_running_loop().create_future()

    def __str__(self) -> str:
        return f"<Supervisor [{self.up} up of {len(self.children)}]>"

    @property
    def up(self) -> int:
        """How many children are ready."""
        return sum(child.state == "up" for child in self.children.values())

    @property
    def restarts(self) -> int:
        """How many restarts there were."""
        return sum(child.restarts for child in self.children.values())

    async def start(self, specs: Iterable[Spec]) -> None:
        """Start children that do not need each other; returns when all are ready, a `Failure` if not."""
        children = [Child(spec, self._log_of(spec.name), self._clock) for spec in specs]
        self._stages.append(children)
        readies: list[asyncio.Future[None]] = []
        for child in children:
            self.children[child.name] = child
            ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._keepers[child.name] = asyncio.create_task(self._keep(child, ready))
            readies.append(ready)
        while not all(ready.done() for ready in readies):
            pending: set[asyncio.Future[Any]] = {ready for ready in readies if not ready.done()}
            await asyncio.wait({*pending, self._given_up}, return_when=asyncio.FIRST_COMPLETED)
            if self._given_up.done():
                raise self._given_up.result()

    def tend(self) -> None:
        """Look after what nobody waits for: called now and again."""
        self._reaper.tend()

    async def given_up(self) -> Failure:
        """Wait until a child cannot be kept; the failure says why."""
        return await asyncio.shield(self._given_up)

    def expect_stop(self) -> None:
        """The stop is about to come: who dies from now on is not started again."""
        self._is_stopping = True

    async def stop(self, *, at_once: asyncio.Event | None = None) -> None:
        """End all children, the last started first; whoever is not done in its time is killed."""
        self._is_stopping = True
        deadline = self._now_s() + self._settings.stop_timeout_s + _STOP_EXTRA_S
        stages = [*reversed(self._stages)]
        for later, stage in zip(range(len(stages) - 1, -1, -1), stages, strict=True):
            for child in stage:
                child.ask_to_stop()
            patience = deadline - self._now_s() - later * _STAGE_RESERVE_S
            await self._await_ends(stage, min(patience, self._settings.stop_timeout_s), at_once)
        self._reaper.close()

    # -- one child -----------------------------------------------------------------------------------------

    async def _keep(self, child: Child, ready: asyncio.Future[None]) -> None:
        history: deque[Death] = deque(maxlen=self._settings.restarts_max + 1)
        was_ever_ready = False
        while not self._is_stopping:
            status = await self._live(child, ready)
            was_ever_ready = was_ever_ready or ready.done()
            if status == -signal.SIGINT:
                await asyncio.sleep(_SAME_SIGNAL_S)
            if self._must_stop():
                break
            if is_blameless(status, needs_are_up=self._has_needs(child)):
                self._tell(f"{child.name} ended, because {self._missing(child)} is down, and waits for it.")
                continue
            now_ms = self._clock.now_ms()
            history.append(Death(now_ms, status, was_ever_ready, child.last_words))
            match restart_or_give_up(history, now_ms, self._settings):
                case GiveUp(reason, exit_code):
                    child.state = "stopped"
                    self._give_up(child, reason, exit_code)
                    return
                case Restart(delay_ms):
                    child.state = "pausing"
                    child.restarts += 1
                    self._tell(
                        f"{child.name} died: {how(status)}; starting it again in {delay_ms / 1_000:.1f} s."
                        + _last_words(child, status)
                    )
                    await asyncio.sleep(delay_ms / 1_000)
        child.state = "stopped"

    async def _live(self, child: Child, ready: asyncio.Future[None]) -> int:
        """One life of a child, from its start to its end."""
        # Children get up one by one; who waits looks at them as the probes do.
        while not self._has_needs(child):  # noqa: ASYNC110
            await asyncio.sleep(_PROBE_EVERY_S)
        child.state = "starting"
        try:
            ended = child.spawn()
        except OSError as error:
            # No memory, no process number, no such program: as if it had died at once.
            self._tell(f"{child.name} cannot be started: {error.strerror}")
            return int(ExitCode.UNEXPECTED)
        self._list(child, is_there=True)
        probing = asyncio.create_task(self._await_ready(child, ready))
        try:
            status = await ended
        finally:
            probing.cancel()
            # Does nothing to a child that has ended by itself. One that is still there, because somebody
            # gives up waiting for it, stays listed: it is the reaper's until it is surely gone.
            child.kill()
        self._list(child, is_there=False)
        return status

    async def _await_ready(self, child: Child, ready: asyncio.Future[None]) -> None:
        deadline = self._now_s() + child.spec.ready_within_s
        while why := await child.spec.probe(child.pid):
            if self._now_s() >= deadline and not ready.done():
                if not child.spec.may_lag:
                    self._give_up(
                        child,
                        f"it was not ready within {child.spec.ready_within_s:g} s: {why}",
                        ExitCode.CHILD_KEPT_DYING,
                    )
                    return
                self._tell(f"{child.name} is not ready yet: {why}")
                ready.set_result(None)
            await asyncio.sleep(_PROBE_EVERY_S if not ready.done() else 4 * _PROBE_EVERY_S)
        child.state = "up"
        if child.restarts:
            self._tell(f"{child.name} is up again (pid {child.pid}).")
        if not ready.done():
            ready.set_result(None)

    def _has_needs(self, child: Child) -> bool:
        return not self._missing(child)

    def _missing(self, child: Child) -> str:
        """What a child needs and is not up; what is not a child of ours is somebody else's to keep up."""
        return " and ".join(
            name for name in child.spec.needs if name in self.children and self.children[name].state != "up"
        )

    def _must_stop(self) -> bool:
        # A method, because the type checker cannot see that another task changes it.
        return self._is_stopping

    def _give_up(self, child: Child, reason: str, exit_code: ExitCode) -> None:
        if not self._given_up.done():
            sentence = f"{child.name}: {reason.removesuffix('.')}. Its log: {child.log.path}"
            self._given_up.set_result(Failure(sentence, exit_code=exit_code))

    # -- all of them -----------------------------------------------------------------------------------------

    async def _await_ends(
        self, stage: Sequence[Child], patience_s: float, at_once: asyncio.Event | None
    ) -> None:
        keepers = [self._keepers[child.name] for child in stage]
        for child, keeper in zip(stage, keepers, strict=True):
            if child.state == "pausing":
                keeper.cancel()
        waiting = {asyncio.ensure_future(asyncio.wait(keepers))}
        hurry = asyncio.ensure_future(at_once.wait()) if at_once else None
        await asyncio.wait(
            waiting | ({hurry} if hurry else set()),
            timeout=max(0.1, patience_s),
            return_when=asyncio.FIRST_COMPLETED,
        )
        if hurry:
            hurry.cancel()
        for child, keeper in zip(stage, keepers, strict=True):
            if not keeper.done():
                self._tell(f"{child.name} did not stop in time and is killed.")
                child.kill()
        await asyncio.wait(keepers, timeout=2)
        for child in stage:
            child.state = "stopped"
            child.log.close()

    def _list(self, child: Child, *, is_there: bool) -> None:
        if is_there:
            self._alive[child.name] = child.pid
        else:
            self._alive.pop(child.name, None)
        self._reaper.tell(child.pid, is_there=is_there)
        # A full disk: the reaper knows as well, and the list is only its second.
        with contextlib.suppress(OSError):
            self._file.write(self._alive.items())

    def _log_of(self, name: str) -> RotatingLog:
        return RotatingLog(
            self._logs_dir / f"{name}.log",
            bytes_max=self._settings.log_bytes_max,
            files_max=self._settings.log_files_max,
        )

    def _now_s(self) -> float:
        return self._clock.now_ms() / 1_000


def _last_words(child: Child, status: int) -> str:
    # Who was killed had no time for any.
    return f" Its last words: {visible(child.last_words)}" if status > 0 and child.last_words else ""
