"""One child of `up`: a process in a session of its own, its output in a rotated log, and what its end was.

A session of its own, so that Ctrl-C reaches `up` alone, which then stops its children in order; and so that
whatever a child itself has started can be ended with it. Two threads wait for what only blocks: one for the
child's output, one for its end.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Literal

from infra.counting import counted
from infra.supervise.logs import Lines, RotatingLog
from infra.supervise.processes import signal_group
from streams.ports import Clock

State = Literal["starting", "up", "pausing", "stopped"]

_CHUNK_BYTES = 65_536
# How long the output of an ended child may still come: what it left in the pipe is read in no time.
_DRAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Spec:
    """What a child is: how it is started, and how one sees that it is ready."""

    name: str
    argv: Sequence[str]
    probe: Callable[[int], Awaitable[str]]
    """Given the process's number: why the child is not ready yet, empty if it is."""
    ready_within_s: float
    may_lag: bool = False
    """Whether `up` goes on without it, saying why, if it lives but is not ready in time."""
    env: Mapping[str, str] | None = field(default=None, repr=False)
    needs: Sequence[str] = ()
    """The children without which it cannot start: it is started again when they are up."""


class Child:
    """One child over all its lives."""

    def __init__(self, spec: Spec, log: RotatingLog, clock: Clock) -> None:
        self.spec = spec
        self.log = log
        self.state: State = "starting"
        self.pid = 0
        self.restarts = 0
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._lines = Lines(spec.name)

    def __str__(self) -> str:
        return f"<Child {self.spec.name} | {self.state}, pid {self.pid}, {counted(self.restarts, 'restart')}>"

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def last_words(self) -> str:
        """What the child said last: its complaint, if that is what it ended with."""
        return self._lines.complaint or self._lines.last_line

    def spawn(self) -> asyncio.Future[int]:
        """Start the process; the future is done when it has ended: its exit code, or its signal, negative."""
        self._lines = Lines(self.name)
        process = subprocess.Popen(
            self.spec.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=self.spec.env,
        )
        self._process, self.pid = process, process.pid
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        assert process.stdout is not None
        pump = threading.Thread(target=self._pump, args=(process.stdout,), name=self.name, daemon=True)
        pump.start()
        threading.Thread(target=_await_end, args=(process, pump, ended), daemon=True).start()
        return ended

    def ask_to_stop(self) -> None:
        """SIGTERM, to the child alone: what it has started is its own to stop."""
        if self._process:
            self._process.terminate()

    def kill(self) -> None:
        """SIGKILL, to the child and to all that it has started."""
        if self._process and self._process.poll() is None:
            signal_group(self.pid, signal.SIGKILL)

    def _pump(self, pipe: IO[bytes]) -> None:
        with pipe:
            # `read1` gives what is there, so that a line is in the log when it is written.
            while chunk := pipe.read1(_CHUNK_BYTES):  # type: ignore[attr-defined]
                self.log.write(self._lines.feed(chunk, self._clock.wall_ms()))
            self.log.write(self._lines.flush(self._clock.wall_ms()))


def _await_end(process: subprocess.Popen[bytes], pump: threading.Thread, ended: asyncio.Future[int]) -> None:
    status = process.wait()
    # Whatever it has started must not outlive it, nor hold the pipe open.
    signal_group(process.pid, signal.SIGKILL)
    pump.join(_DRAIN_S)
    try:
        ended.get_loop().call_soon_threadsafe(_settle, ended, status)
    except RuntimeError:
        # The loop is closed: nobody waits any longer.
        return


def _settle(ended: asyncio.Future[int], status: int) -> None:
    if not ended.done():
        ended.set_result(status)
