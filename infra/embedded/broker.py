"""One broker of an instance: its process, seen through its lock; started, paused and killed by itself.

`EmbeddedKafka` makes them, and looks after what they share; fault tests reach for single ones.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from infra.embedded.diagnosis import explained, tail
from infra.embedded.instance import read_instance
from infra.embedded.java import ENVIRONMENT, log_path
from infra.embedded.properties import Place
from infra.embedded.running import becomes, is_held, lock_path, send_signal
from infra.errors import ExitCode, Failure

# A killed process is gone at once; the system may take a moment to free its memory.
_KILL_S = 10.0


class Broker:
    """One broker. It need not have been started by this object, nor by this process."""

    def __init__(self, directory: Path, place: Place, starter: Callable[[Broker], None]) -> None:
        self.place = place
        self._starter = starter
        self._directory = directory
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start_bytes = 0

    def __repr__(self) -> str:
        state = f"pid {self.pid}" if self.is_running else "stopped"
        return f"<Broker {self.place.node_id} at {self.place.bootstrap} | {state}>"

    @property
    def lock_path(self) -> Path:
        return lock_path(self._directory, self.place)

    @property
    def is_running(self) -> bool:
        """Whether its process lives; it may be paused, or not yet ready."""
        if self._child is not None:
            # A child that has ended is a corpse until somebody asks for its end.
            self._child.poll()
        if is_held(self.lock_path):
            return True
        if self._child is not None:
            # It lets go of the lock a moment before it can be buried, and its successor takes its place here.
            self._child.wait(_KILL_S)
        return False

    @property
    def pid(self) -> int | None:
        """Its process's number; None if it does not run."""
        if not self.is_running:
            return None
        if self._child is not None and self._child.returncode is None:
            return self._child.pid
        instance = read_instance(self._directory)
        records = instance.brokers if instance else ()
        return next((one.pid for one in records if one.id == self.place.node_id and one.pid), None)

    def start(self) -> None:
        """Start it if it does not run, and wait until it has joined its peers again."""
        self._starter(self)

    def spawn(self, command: Sequence[str], lock: int) -> int:
        """Start its process, which inherits the lock and leads a session of its own; its number."""
        self.mark_log()
        with (self._directory / "logs" / f"{self.place.home}.out").open("wb") as output:
            self._child = subprocess.Popen(
                command,
                cwd=self._directory,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock,),
            )
        return self._child.pid

    def mark_log(self) -> None:
        """Note where its log ends now, so that an old complaint is not taken for a new one."""
        path = self._directory / log_path(self.place)
        self._log_start_bytes = path.stat().st_size if path.exists() else 0

    def check(self) -> None:
        """A `Failure` that says why, if it does not run."""
        if self.is_running:
            return
        path = self._directory / log_path(self.place)
        size = path.stat().st_size if path.exists() else 0
        # Smaller than before: the log has been rotated, and all of it is new.
        new_bytes = size - self._log_start_bytes if size >= self._log_start_bytes else size
        raise explained(
            self._directory,
            tail(path, min(new_bytes, 64 << 10)),
            tail(self._directory / "logs" / f"{self.place.home}.out"),
            shutil.disk_usage(self._directory).free,
            is_own=self._child is not None,
        )

    def terminate(self) -> None:
        """Ask it to stop; a paused one is let go on, to hear it."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a power failure would."""
        self._signal(signal.SIGKILL)
        if not becomes(lambda: not self.is_running, _KILL_S):
            raise Failure(
                f"Broker {self.place.node_id} in {self._directory} does not end, though it was killed.",
                exit_code=ExitCode.EMBEDDED_KAFKA,
            )

    def pause(self) -> None:
        """Let it hang: its connections stay, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if not self.is_running:
            return
        pid = self.pid
        if pid is None:
            raise Failure(
                f"A process holds {self.lock_path} that is no broker of ours: `fuser {self.lock_path}` "
                "tells which.",
                exit_code=ExitCode.TAKEN,
            )
        send_signal(pid, number)


def become(command: Sequence[str], directory: Path, lock: int) -> NoReturn:
    """Turn this very process into the broker. Does not return."""
    os.chdir(directory)
    os.set_inheritable(lock, True)  # noqa: FBT003  Its parameter has no other name.
    os.execve(command[0], list(command), ENVIRONMENT)  # noqa: S606  The JVM, by its whole path, no shell.
