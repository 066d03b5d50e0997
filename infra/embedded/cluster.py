"""EmbeddedKafka: a real Kafka of one broker or three, on this machine, in one directory that can be deleted.

    with EmbeddedKafka(directory, EmbeddedSettings()) as kafka:
        producer = Producer({"bootstrap.servers": kafka.bootstrap})

Whoever has the directory has the instance: another process's object sees, stops and adopts what this started.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from infra.embedded.artifacts import read_lock
from infra.embedded.broker import Broker, become
from infra.embedded.diagnosis import disk_full, not_writable
from infra.embedded.jars import cache_directory, ensure
from infra.embedded.java import broker_command, java_path, tool_command
from infra.embedded.placing import PortTaken
from infra.embedded.ports import HOST
from infra.embedded.preparing import Storage, check_room
from infra.embedded.progress import Progress, silent
from infra.embedded.properties import SecureListener
from infra.embedded.readiness import wait_until_ready
from infra.embedded.roster import Roster, Status
from infra.embedded.running import becomes, sole_operator, take
from infra.errors import ExitCode, Failure
from schemas.settings import EmbeddedSettings

# One broker stops in half a second; three at a time take five, as the last ones wait for a quorum in vain.
_STOP_S = 7.0
# Of two instances that start at one moment, one may lose a port to the other; not three times in a row.
_PORT_TRIES = 3
# Who only looks whether a broker runs holds its lock for microseconds.
_LOCK_S = 0.1
_FORMATTER_S = 10.0


@dataclass(frozen=True, slots=True)
class _Means:
    """What brokers are made of."""

    java: Path
    jars: Sequence[Path]


class EmbeddedKafka:
    """The instance in a directory. Methods wait until it is done, or raise a `Failure` that says why not."""

    def __init__(
        self,
        directory: Path,
        settings: EmbeddedSettings,
        *,
        secure: SecureListener | None = None,
        progress: Progress = silent,
    ) -> None:
        self._directory = directory.absolute()
        self._settings = settings
        self._secure = secure
        self._progress = progress
        self._roster = Roster(self._directory, settings, secure, self._start_one)

    def __repr__(self) -> str:
        return str(self.status())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def brokers(self) -> tuple[Broker, ...]:
        """The brokers, by their id; none before the first start."""
        return self._roster.brokers

    @property
    def bootstrap(self) -> str:
        """Where clients connect; empty before the first start."""
        return ",".join(one.place.bootstrap for one in self.brokers)

    @property
    def secure_bootstrap(self) -> str:
        """Where clients of the secure listener connect."""
        return ",".join(f"{HOST}:{one.place.secure_port}" for one in self.brokers)

    def start(self) -> str:
        """Start what does not run yet, and wait until it takes writes. Gives back where clients connect."""
        for tries_left in reversed(range(_PORT_TRIES)):
            started: list[Broker] = []
            try:
                self._start_missing(started)
                self._await(self.brokers)
                break
            except BaseException as error:
                # Nothing that was begun here may be left behind half started, not even by Ctrl-C.
                for broker in started:
                    broker.kill()
                is_all = len(started) == len(self.brokers)
                if not (isinstance(error, PortTaken) and is_all and tries_left and not self._settings.port):
                    raise
        return self.bootstrap

    def stop(self) -> None:
        """Stop all brokers; who does not stop in time is killed, and recovers at its next start."""
        if not self.brokers:
            return
        with self._operating():
            for broker in self.brokers:
                broker.terminate()
            becomes(lambda: not any(one.is_running for one in self.brokers), _STOP_S)
            self.kill()

    def kill(self) -> None:
        """End all brokers as a power failure would."""
        for broker in self.brokers:
            broker.kill()

    def status(self) -> Status:
        """How it is, as its processes show; whether it answers is for `wait_until_ready`."""
        return self._roster.status()

    def check(self) -> None:
        """A `Failure` that says why, if a broker does not run."""
        for broker in self.brokers:
            broker.check()

    def become(self) -> NoReturn:
        """Turn this process into the broker: for a supervisor, whose child is then Kafka itself.

        Whoever kills that child has killed Kafka: no process between them can be left behind. It is the
        supervisor that waits until the broker is ready. For a single broker only.
        """
        means = self._means()
        with self._operating():
            check_room(self._directory)
            if any(one.is_running for one in self.brokers):
                raise self._runs_already()
            (broker,) = brokers = self._roster.place()
            lock = self._locked(broker)
            self._prepare(means, brokers, {broker: lock})
            self._roster.write(brokers, {broker.place.node_id: os.getpid()})
            become(self._command(means, broker), self._directory, lock)

    def fetch(self, *groups: str) -> list[Path]:
        """Bring jars into the cache, where they are not there yet: `kafka`, and `tools` if named."""
        cache = cache_directory(self._settings.cache_dir)
        wanted = read_lock().of(*(groups or ("kafka",)))
        return ensure(wanted, cache, self._settings.mirror, self._progress)

    def tool_command(self, main_class: str, *arguments: str) -> list[str]:
        """The command line of one of Kafka's own tools, by its Java class; missing jars are fetched."""
        return tool_command(java_path(), self.fetch("kafka", "tools"), main_class, arguments)

    def _start_missing(self, started: list[Broker]) -> None:
        """Start the processes of all brokers that do not run; each is noted just before."""
        if self.brokers and all(one.is_running for one in self.brokers):
            return
        # Outside the lock: fetching may take minutes, and has a lock of its own.
        means = self._means()
        with self._operating():
            check_room(self._directory)
            brokers = self._roster.place()
            self._spawn(means, brokers, [one for one in brokers if not one.is_running], started)

    def _start_one(self, broker: Broker) -> None:
        means = self._means()
        with self._operating():
            if not broker.is_running:
                self._spawn(means, self._roster.place(), [broker], [])
        self._await((broker,))

    def _spawn(
        self, means: _Means, brokers: tuple[Broker, ...], missing: list[Broker], started: list[Broker]
    ) -> None:
        locks: dict[Broker, int] = {}
        try:
            for broker in missing:
                locks[broker] = self._locked(broker)
            self._prepare(means, brokers, locks)
            # Until the new processes are known, no old number may be taken for theirs.
            self._roster.write(brokers, {one.place.node_id: 0 for one in missing})
            pids: dict[int, int] = {}
            for broker, lock in locks.items():
                started.append(broker)
                pids[broker.place.node_id] = broker.spawn(self._command(means, broker), lock)
            self._roster.write(brokers, pids)
        finally:
            # The brokers hold their own copies from now on.
            for lock in locks.values():
                os.close(lock)

    def _prepare(self, means: _Means, brokers: tuple[Broker, ...], locks: dict[Broker, int]) -> None:
        self._roster.configure(brokers, locks)
        storage = Storage(self._directory, means.java, means.jars, self._secure)
        storage.format({broker.place: lock for broker, lock in locks.items()})

    def _command(self, means: _Means, broker: Broker) -> list[str]:
        return broker_command(means.java, means.jars, broker.place, self._settings.heap_mb)

    def _await(self, brokers: Sequence[Broker]) -> None:
        def check() -> None:
            for broker in brokers:
                broker.check()

        wait_until_ready(
            self.bootstrap,
            timeout_s=self._settings.start_timeout_s,
            node_ids=[one.place.node_id for one in brokers],
            check=check,
        )

    def _means(self) -> _Means:
        return _Means(java_path(), self.fetch())

    def _locked(self, broker: Broker) -> int:
        # A start that was killed may have left the tool that formats, which ends by itself within seconds.
        lock = take(broker.lock_path, patience_s=_LOCK_S if broker.pid else _FORMATTER_S)
        if lock is None:
            raise self._runs_already()
        return lock

    @contextmanager
    def _operating(self) -> Iterator[None]:
        try:
            with sole_operator(self._directory / "operating.lock"):
                yield
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise disk_full(self._directory, 0) from None
            raise not_writable(self._directory, error) from None

    def _runs_already(self) -> Failure:
        return Failure(
            f"The embedded Kafka in {self._directory} runs already ({self.bootstrap}): use it, or stop it "
            "with `penstock kafka stop`.",
            exit_code=ExitCode.TAKEN,
        )
