"""The brokers of an instance: which there are, where they listen, which run; and what is written of that.

`EmbeddedKafka` decides when; here is what is known. Other processes change the same files, so nothing is kept
in memory but the objects that are parents of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from infra.embedded.artifacts import read_lock
from infra.embedded.broker import Broker
from infra.embedded.instance import BrokerRecord, described, read_instance, write_instance
from infra.embedded.placing import place_brokers
from infra.embedded.ports import free_port, is_free
from infra.embedded.preparing import write_configuration
from infra.embedded.properties import Place, SecureListener
from infra.errors import ExitCode, Failure
from schemas.settings import EmbeddedSettings
from streams.clock import SystemClock


@dataclass(frozen=True, slots=True)
class Status:
    """What there is to tell of an instance."""

    state: Literal["running", "partly running", "stopped"]
    bootstrap: str
    version: str
    started_at: str
    pids: tuple[int, ...]
    directory: str

    def __str__(self) -> str:
        if self.state == "stopped":
            return f"<Kafka | stopped, {self.directory}>"
        pids = ", ".join(map(str, self.pids))
        return f"<Kafka {self.version} at {self.bootstrap} | {self.state}, pid {pids}, {self.directory}>"


class Roster:
    """The brokers in a directory; `starter` is what a single broker calls to be started."""

    def __init__(
        self,
        directory: Path,
        settings: EmbeddedSettings,
        secure: SecureListener | None,
        starter: Callable[[Broker], None],
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._secure = secure
        self._starter = starter
        self._known: dict[int, Broker] = {}

    @property
    def brokers(self) -> tuple[Broker, ...]:
        """All brokers, by their id; none before the first start."""
        instance = read_instance(self._directory)
        return tuple(self._broker(one.place) for one in instance.brokers) if instance else ()

    def status(self) -> Status:
        instance = read_instance(self._directory)
        running = [one.is_running for one in self.brokers]
        if instance is None or not any(running):
            return Status("stopped", "", read_lock().version, "", (), str(self._directory))
        return Status(
            "running" if all(running) else "partly running",
            instance.bootstrap,
            instance.version,
            instance.started_at,
            tuple(one.pid for one, runs in zip(instance.brokers, running, strict=True) if runs),
            str(self._directory),
        )

    def place(self) -> tuple[Broker, ...]:
        """Give every broker its place: those of the last start, unless nothing runs and they are lost."""
        kept = [one.place for one in self.brokers]
        if kept and len(kept) != self._settings.brokers:
            raise self._made_otherwise(len(kept))
        if not any(one.is_running for one in self.brokers):
            # The peers of a running broker know it by its ports; without one, all may move.
            kept = list(self._decide(kept))
        return tuple(self._broker(place) for place in kept)

    def configure(self, brokers: tuple[Broker, ...], chosen: Iterable[Broker]) -> None:
        """Write the configuration of some of the brokers, whose locks the caller holds."""
        peers = [one.place for one in brokers]
        for broker in chosen:
            write_configuration(self._directory, broker.place, peers, self._secure)

    def write(self, brokers: tuple[Broker, ...], pids: Mapping[int, int]) -> None:
        """Write down where the brokers are, and the processes of those just started: 0 if not known yet."""
        old = read_instance(self._directory)
        before = {one.id: one.pid for one in old.brokers} if old else {}
        records = tuple(
            BrokerRecord(
                id=one.place.node_id,
                port=one.place.port,
                controller_port=one.place.controller_port,
                secure_port=one.place.secure_port,
                pid=pids.get(one.place.node_id, before.get(one.place.node_id, 0)),
            )
            for one in brokers
        )
        started_at = datetime.fromtimestamp(SystemClock().wall_ms() // 1_000, UTC).isoformat()
        write_instance(self._directory, described(read_lock().version, started_at, records))

    def _decide(self, kept: list[Place]) -> tuple[Place, ...]:
        return place_brokers(
            kept,
            brokers=self._settings.brokers,
            port=self._settings.port,
            is_secure=self._secure is not None,
            is_free=is_free,
            draw=free_port,
        )

    def _broker(self, place: Place) -> Broker:
        broker = self._known.setdefault(place.node_id, Broker(self._directory, place, self._starter))
        broker.place = place
        return broker

    def _made_otherwise(self, brokers: int) -> Failure:
        return Failure(
            f"The data in {self._directory} is that of {brokers} broker(s), and a cluster's size is fixed: "
            f"set embedded.brokers = {brokers}, or delete that directory.",
            exit_code=ExitCode.EMBEDDED_KAFKA,
        )
