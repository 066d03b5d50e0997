"""Whether a broker runs is known from the lock that its process was born with, and from nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from deadline import until

from infra.embedded.instance import BrokerRecord, bootstrap_of, described, read_instance, write_instance
from infra.embedded.properties import Place
from infra.embedded.roster import Roster
from infra.embedded.running import becomes, is_held, lock_path, take
from schemas.settings import EmbeddedSettings

PLACE = Place(1, 21_001, 21_002)


@contextmanager
def broker_like(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has inherited the lock, as a broker does, and that ends with its input."""
    lock = take(path)
    assert lock is not None
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=(lock,)
    )
    os.close(lock)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def record_of(directory: Path, pid: int) -> None:
    broker = BrokerRecord(id=1, port=PLACE.port, controller_port=PLACE.controller_port, pid=pid)
    write_instance(directory, described("4.3.1", "2026-01-01T00:00:00+00:00", (broker,)))


def roster_of(directory: Path) -> Roster:
    return Roster(directory, EmbeddedSettings(), None, lambda _broker: None)


def test_a_lock_lives_as_long_as_the_process_that_inherited_it(tmp_path: Path) -> None:
    path = tmp_path / "running.lock"
    with broker_like(path) as child:
        assert is_held(path)
        assert take(path) is None
        child.kill()
        child.wait()
        until(lambda: not is_held(path), within_s=5)
    lock = take(path)
    assert lock is not None
    os.close(lock)


def test_who_only_looks_leaves_no_lock_and_makes_no_file(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "running.lock")
    assert list(tmp_path.iterdir()) == []


def test_a_stale_record_with_a_living_stranger_s_number_is_no_broker(tmp_path: Path) -> None:
    kafka = tmp_path / "kafka"
    kafka.mkdir()
    record_of(kafka, os.getpid())
    assert bootstrap_of(tmp_path) is None
    (broker,) = roster_of(kafka).brokers
    assert broker.pid is None
    broker.kill()
    broker.terminate()
    assert roster_of(kafka).status().state == "stopped", "and we, whose number it had, were not signalled"


def test_a_running_broker_is_found_and_ended_by_whoever_has_the_directory(tmp_path: Path) -> None:
    kafka = tmp_path / "kafka"
    with broker_like(lock_path(kafka, PLACE)) as child:
        record_of(kafka, child.pid)
        assert bootstrap_of(tmp_path) == "127.0.0.1:21001"
        assert str(roster_of(kafka).status()).startswith("<Kafka 4.3.1 at 127.0.0.1:21001 | running, pid ")
        (broker,) = roster_of(kafka).brokers
        assert broker.pid == child.pid
        broker.terminate()
        assert child.wait(10) != 0
    assert bootstrap_of(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"not JSON", b'{"version": 1}', b"\xff"])
def test_a_record_that_is_none_of_ours_is_no_instance(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "instance.json").write_bytes(content)
    assert read_instance(tmp_path) is None
    assert roster_of(tmp_path).status().state == "stopped"


def test_the_record_names_the_first_broker_for_who_knows_of_one_only(tmp_path: Path) -> None:
    record_of(tmp_path, 4711)
    instance = read_instance(tmp_path)
    assert instance is not None
    assert (instance.pid, instance.port, instance.bootstrap) == (4711, 21_001, "127.0.0.1:21001")
    assert [path.name for path in tmp_path.iterdir()] == ["instance.json"], "no temporary file is left"


def test_waiting_for_a_state_ends_at_the_deadline() -> None:
    assert becomes(lambda: True, 0)
    assert not becomes(lambda: False, 0.05)
