"""What an instance says of itself: `instance.json`, for clients, `status` and the next start.

It outlives the broker, so that the next start listens where clients look for it. Whether the broker runs is
not in it: only the lock (`running.py`) knows.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from infra.embedded.properties import Place
from infra.embedded.running import is_held, lock_path

FILE = "instance.json"


class BrokerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One broker: its ports, and its process if it was started; 0 while it is being started."""

    id: int
    port: int
    controller_port: int
    secure_port: int = 0
    pid: int = 0

    @property
    def place(self) -> Place:
        return Place(self.id, self.port, self.controller_port, self.secure_port)


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """The file. `pid` and `port` are the first broker's, for whoever knows of one only."""

    version: str
    bootstrap: str
    started_at: str
    pid: int
    port: int
    brokers: tuple[BrokerRecord, ...]


def described(version: str, started_at: str, brokers: tuple[BrokerRecord, ...]) -> Instance:
    """Make the record of these brokers."""
    return Instance(
        version=version,
        bootstrap=",".join(one.place.bootstrap for one in brokers),
        started_at=started_at,
        pid=brokers[0].pid,
        port=brokers[0].port,
        brokers=brokers,
    )


def read_instance(directory: Path) -> Instance | None:
    """What is written there; None if nothing is, or not by us."""
    try:
        found = msgspec.json.decode((directory / FILE).read_bytes(), type=Instance)
    except (OSError, msgspec.DecodeError):
        return None
    return found if found.brokers else None


def write_instance(directory: Path, instance: Instance) -> None:
    """Write it at once: a reader sees the old one or the new one."""
    part = directory / f"{FILE}.{os.getpid()}.part"
    part.write_bytes(msgspec.json.format(msgspec.json.encode(instance), indent=2) + b"\n")
    part.replace(directory / FILE)


def bootstrap_of(data_dir: Path) -> str | None:
    """Where the embedded Kafka of a Penstock data directory listens; None if no broker of it runs."""
    directory = data_dir / "kafka"
    instance = read_instance(directory)
    if instance is None:
        return None
    runs = any(is_held(lock_path(directory, one.place)) for one in instance.brokers)
    return instance.bootstrap if runs else None
