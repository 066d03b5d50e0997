"""EmbeddedKafka: a real Kafka of one broker or three, on this machine, in one directory that can be deleted.

    with EmbeddedKafka(directory, EmbeddedSettings()) as kafka:
        producer = Producer({"bootstrap.servers": kafka.bootstrap})

Whoever has the directory has the instance: another process's object sees, stops and adopts what this started.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, NoReturn, Self

from infra.embedded.artifacts import read_lock
from infra.embedded.broker import Broker, become
from infra.embedded.diagnosis import disk_full, not_writable
from infra.embedded.instance import BrokerRecord, described, read_instance, write_instance
from infra.embedded.jars import cache_directory, ensure
from infra.embedded.java import broker_command, java_path, tool_command
from infra.embedded.placing import PortTaken, place_brokers
from infra.embedded.ports import HOST, free_port, is_free
from infra.embedded.preparing import Storage, check_room, write_configuration
from infra.embedded.progress import Progress, silent
from infra.embedded.properties import Place, SecureListener
from infra.embedded.readiness import wait_until_ready
from infra.embedded.running import becomes, sole_operator, take
from infra.errors import ExitCode, Failure
from schemas.settings import EmbeddedSettings
from streams.clock import SystemClock

# A broker stops in half a second; three at a time, which lose their quorum on the way, in up to three.
_STOP_S = 7.0
# Of two instances that start at one moment, one may lose a port to the other; not three times in a row.
_PORT_TRIES = 3


@dataclass(frozen=True, slots=True)
class Status:
    """What there is to tell of an instance."""

    state: Literal["running", "partly running", "stopped"]
    bootstrap: str
    version: str
    started_at: str
    pids: tuple[int, ...]
    directory: Path

    def __str__(self) -> str:
        if self.state == "stopped":
            return f"<Kafka | stopped, {self.directory}>"
        pids = ", ".join(map(str, self.pids))
        return f"<Kafka {self.version} at {self.bootstrap} | {self.state}, pid {pids}, {self.directory}>"


class EmbeddedKafka:
    """The instance in a directory. Methods wait until what they do is done, and raise a `Failure` that says why not."""

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
        self._known: dict[int, Broker] = {}
        self._places: tuple[Place, ...] = ()

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
        instance = read_instance(self._directory)
        return tuple(self._broker(one.place) for one in instance.brokers) if instance else ()

    @property
    def bootstrap(self) -> str:
        """Where clients connect; empty before the first start."""
        return ",".join(one.place.bootstrap for one in self.brokers)

    @property
    def secure_bootstrap(self) -> str:
        """Where clients of the secure listener connect."""
        return ",".join(f"{HOST}:{one.place.secure_port}" for one in self.brokers)

    def start(self) -> str:
        """Start what does not run yet, wait until it takes writes; where clients connect."""
        for tries_left in reversed(range(_PORT_TRIES)):
            try:
                self._spawn_all()
                self._await(self.brokers)
            except PortTaken:
                if self._settings.port or not tries_left or any(one.is_running for one in self.brokers):
                    raise
            else:
                break
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
        """How it is, as seen from outside; whether it answers is `readiness`."""
        instance = read_instance(self._directory)
        running = [one.is_running for one in self.brokers]
        if instance is None or not any(running):
            return Status("stopped", "", read_lock().version, "", (), self._directory)
        return Status(
            "running" if all(running) else "partly running",
            instance.bootstrap,
            instance.version,
            instance.started_at,
            tuple(one.pid for one, runs in zip(instance.brokers, running, strict=True) if runs),
            self._directory,
        )

    def become(self) -> NoReturn:
        """Turn this process into the broker: for a supervisor, whose child is then Kafka itself.

        Killing that child kills Kafka, with no process between; readiness is for the supervisor to watch.
        """
        jars, java = self._means()
        with self._operating():
            if any(one.is_running for one in self.brokers):
                raise self._runs_already()
            (broker,) = self._placed()
            lock = self._locked(broker)
            Storage(self._directory, java, jars, self._secure).format({broker.place: lock})
            self._write({broker.place.node_id: os.getpid()})
            become(broker_command(java, jars, broker.place, self._settings.heap_mb), self._directory, lock)

    def check(self) -> None:
        """A `Failure` that says why, if a broker does not run."""
        for broker in self.brokers:
            broker.check()

    def tool_command(self, main_class: str, *arguments: str) -> list[str]:
        """The command line of one of Kafka's own tools, by its Java class; its jars are fetched if need be."""
        jars, java = self._means("kafka", "tools")
        return tool_command(java, jars, main_class, arguments)

    def fetch(self, *groups: str) -> list[Path]:
        """Bring the jars into the cache: `kafka`, or `tools`, too."""
        cache = cache_directory(self._settings.cache_dir)
        return ensure(read_lock().of(*(groups or ("kafka",))), cache, self._settings.mirror, self._progress)

    def _spawn_all(self) -> None:
        if self.brokers and all(one.is_running for one in self.brokers):
            return
        # Outside the lock: it may take minutes, and harms nobody.
        self._means()
        with self._operating():
            self._spawn([one for one in self._placed() if not one.is_running])

    def _start_one(self, broker: Broker) -> None:
        with self._operating():
            if not broker.is_running:
                self._configure(self.brokers)
                self._spawn([broker])
        self._await([broker])

    def _spawn(self, brokers: Sequence[Broker]) -> None:
        jars, java = self._means()
        locks = {one: self._locked(one) for one in brokers}
        try:
            formatted = {one.place: lock for one, lock in locks.items()}
            Storage(self._directory, java, jars, self._secure).format(formatted)
            # Until the processes are known, no old number may be taken for theirs.
            self._write({one.place.node_id: 0 for one in brokers})
            heap_mb = self._settings.heap_mb
            self._write(
                {
                    one.place.node_id: one.spawn(broker_command(java, jars, one.place, heap_mb), lock)
                    for one, lock in locks.items()
                }
            )
        finally:
            for lock in locks.values():
                os.close(lock)

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

    def _placed(self) -> tuple[Broker, ...]:
        """Give every broker its place, and write down what it needs to start there."""
        instance = read_instance(self._directory)
        kept = [one.place for one in instance.brokers] if instance else []
        if kept and len(kept) != self._settings.brokers:
            raise self._made_otherwise(len(kept))
        if not any(self._broker(one).is_running for one in kept):
            # Its peers know a running broker by its ports; without one, all may move.
            kept = list(self._decide(kept))
        brokers = tuple(self._broker(place) for place in kept)
        self._configure(brokers)
        return brokers

    def _decide(self, kept: Sequence[Place]) -> tuple[Place, ...]:
        return place_brokers(
            kept,
            brokers=self._settings.brokers,
            port=self._settings.port,
            is_secure=self._secure is not None,
            is_free=is_free,
            draw=free_port,
        )

    def _configure(self, brokers: Sequence[Broker]) -> None:
        check_room(self._directory)
        peers = [one.place for one in brokers]
        for broker in brokers:
            if not broker.is_running:
                write_configuration(self._directory, broker.place, peers, self._secure)
        self._places = tuple(peers)

    def _write(self, pids: Mapping[int, int]) -> None:
        """Write down where the brokers are, and the processes of those that were just started."""
        old = read_instance(self._directory)
        before = {one.id: one.pid for one in old.brokers} if old else {}
        records = tuple(
            BrokerRecord(
                id=one.node_id,
                port=one.port,
                controller_port=one.controller_port,
                secure_port=one.secure_port,
                pid=pids.get(one.node_id, before.get(one.node_id, 0)),
            )
            for one in self._places
        )
        started_at = datetime.fromtimestamp(SystemClock().wall_ms() // 1_000, UTC).isoformat()
        write_instance(self._directory, described(read_lock().version, started_at, records))

    def _broker(self, place: Place) -> Broker:
        """The same object for the same broker, wherever it listens: it may be the parent of its process."""
        broker = self._known.setdefault(place.node_id, Broker(self._directory, place, self._start_one))
        broker.place = place
        return broker

    def _locked(self, broker: Broker) -> int:
        lock = take(broker.lock_path)
        if lock is None:
            raise self._runs_already()
        return lock

    def _means(self, *groups: str) -> tuple[list[Path], Path]:
        return self.fetch(*groups), java_path()

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
            f"The embedded Kafka in {self._directory} runs already ({self.bootstrap}): use it, or stop it with "
            "`penstock kafka stop`.",
            exit_code=ExitCode.TAKEN,
        )

    def _made_otherwise(self, brokers: int) -> Failure:
        return Failure(
            f"The data in {self._directory} is that of {brokers} broker(s), and a cluster's size is fixed: set "
            f"embedded.brokers = {brokers}, or delete that directory.",
            exit_code=ExitCode.EMBEDDED_KAFKA,
        )
