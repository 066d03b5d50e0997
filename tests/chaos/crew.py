"""Worker processes: started, ended in every way there is, and never left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Self

from deadline import until

from chaos.audit import Told
from chaos.worker import Options, told_path

ROOT = Path(__file__).parents[2]
# Importing takes a second alone and some more among others; a dead member's session must end, too.
_WORKING_WITHIN_S = 60.0
# The drain's bound, its last commit, and a busy machine.
_STOP_WITHIN_S = 20.0


class Member:
    """One worker, over all its runs."""

    def __init__(self, options: Options, module: str = "chaos.worker") -> None:
        self._options = options
        self._module = module
        self._runs = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._ghost: subprocess.Popen[bytes] | None = None
        self._ghost_log = Path()
        self.cut_off: set[str] = set()
        """Its runs that were killed or frozen: what they copied may be copied again."""

    def __repr__(self) -> str:
        return f"<Member {self.maker} | {'up' if self.is_up else 'down'}>"

    @property
    def maker(self) -> str:
        """The present run's name."""
        return f"{self._options.name}.{self._runs - 1}"

    @property
    def is_up(self) -> bool:
        return self._process is not None

    @property
    def said(self) -> str:
        """What the present run has printed."""
        return self._log.read_text(errors="replace")

    @property
    def told(self) -> Iterator[Told]:
        """What all its runs were told; of one that was killed the last line may be half a line."""
        for run in range(self._runs):
            path = told_path(self._options._replace(maker=f"{self._options.name}.{run}"))
            for line in path.read_text().splitlines() if path.exists() else ():
                at_ms, *numbers = line.split()
                for number in numbers:
                    yield Told(f"{self._options.name}.{run}", int(number), float(at_ms))

    def start(self) -> None:
        """Start its next run."""
        assert self._process is None
        self._runs += 1
        Path(self._options.directory).mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK")}
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", self._module, json.dumps(self._told())],
                # Open as long as the test lives: its end is the worker's, even if nobody is left to kill it.
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._options.directory,
                env={**environment, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
                start_new_session=True,
            )

    def await_working(self) -> None:
        """Wait until its present run has settled something."""
        self._await_said("working")

    def _await_said(self, word: str) -> None:
        def has_said() -> bool:
            self.check()
            return word in self.said.splitlines()

        until(has_said, within_s=_WORKING_WITHIN_S, what=f"{self!r} says {word}", every_s=0.05)

    def check(self) -> None:
        """Nobody ends by itself."""
        assert self._process is None or self._process.poll() is None, (
            f"{self!r} ended with {self._process.returncode}:\n{self.said[-8_000:]}"
        )

    def kill(self) -> None:
        """End it as a power failure would."""
        self.check()
        self.cut_off.add(self.maker)
        self._signal(signal.SIGKILL)
        self._forget()

    def stop(self) -> None:
        """Ask it to stop, and see that it does, with nothing to complain of."""
        self.ask_to_stop()
        self.await_stopped()

    def ask_to_stop(self) -> None:
        self._await_said("up")
        self._signal(signal.SIGTERM)

    def await_stopped(self) -> None:
        """See that it stops in time, with nothing to complain of."""
        assert self._process is not None
        try:
            code = self._process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self!r} did not stop:\n{self.said[-8_000:]}") from None
        assert code == 0, f"{self!r} stopped with {code}:\n{self.said[-8_000:]}"
        self._forget()

    def freeze(self) -> None:
        """Let it hang, with its connections open."""
        self.check()
        self.cut_off.add(self.maker)
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on as if nothing had happened."""
        self._signal(signal.SIGCONT)

    def replace(self) -> None:
        """Start its next run while the frozen one is still there, as another machine's supervisor would."""
        self._ghost, self._process, self._ghost_log = self._process, None, self._log
        self.start()

    def lay_ghost(self) -> str:
        """Thaw the run that was replaced, see that it ends by itself, and give what it said."""
        assert self._ghost is not None
        os.killpg(self._ghost.pid, signal.SIGCONT)
        assert self._ghost.wait(_STOP_WITHIN_S) == 1
        self._forget_ghost()
        return self._ghost_log.read_text(errors="replace")

    def _forget_ghost(self) -> None:
        if self._ghost is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._ghost.pid, signal.SIGKILL)
            self._ghost.wait(10)
            if self._ghost.stdin:
                self._ghost.stdin.close()
            self._ghost = None

    def discard(self) -> None:
        """End it whatever it does, frozen or not."""
        self._forget_ghost()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._signal(signal.SIGKILL)
            self._forget()

    @property
    def _log(self) -> Path:
        return Path(self._options.directory) / f"{self.maker}.log"

    def _told(self) -> dict[str, object]:
        return self._options._replace(maker=self.maker)._asdict()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _forget(self) -> None:
        assert self._process is not None
        self._process.wait(10)
        if self._process.stdin:
            self._process.stdin.close()
        self._process = None


class Crew:
    """The members of one group."""

    def __init__(self, members: list[Member]) -> None:
        self.members = members

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            member.discard()

    @property
    def regulars(self) -> list[Member]:
        """Those who are there from the beginning; the third one comes and goes."""
        return self.members[:2]

    @property
    def guest(self) -> Member:
        return self.members[2]

    @property
    def up(self) -> list[Member]:
        return [member for member in self.members if member.is_up]

    @property
    def cut_off(self) -> set[str]:
        return set[str]().union(*(member.cut_off for member in self.members))

    @property
    def told(self) -> Iterator[Told]:
        return chain.from_iterable(member.told for member in self.members)

    def check(self) -> None:
        for member in self.members:
            member.check()

    def stop(self) -> None:
        """Stop all at once."""
        stopping = self.up
        for member in stopping:
            member.ask_to_stop()
        for member in stopping:
            member.await_stopped()
