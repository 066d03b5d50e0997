"""What doctor finds of the embedded Kafka: each finding that is not well says what to do."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from infra.embedded import checks
from schemas.settings import EmbeddedSettings


def test_an_empty_machine_is_told_of_everything(tmp_path: Path) -> None:
    found = {
        one.name: one
        for one in checks.findings(tmp_path, EmbeddedSettings(cache_dir=str(tmp_path / "cache")))
    }
    assert list(found) == ["java", "kafka jars", "kafka directory", "kafka memory", "kafka port"]
    assert found["java"].ok
    assert "Java 2" in found["java"].detail
    assert not found["kafka jars"].ok
    assert "penstock kafka fetch" in found["kafka jars"].advice
    assert all(one.ok or one.advice for one in found.values())
    assert list(tmp_path.iterdir()) == [], "looking changes nothing"


def test_a_taken_port_and_a_place_without_rights_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not checks.disk(tmp_path / "file" / "kafka").ok
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        port = listener.getsockname()[1]
        found = checks.findings(tmp_path, EmbeddedSettings(port=port))[-1]
    assert not found.ok
    assert f"127.0.0.1:{port} is taken" in found.detail


@pytest.mark.parametrize(("needed_mb", "ok"), [(480, True), (1_000, True), (1_001, False)])
def test_brokers_that_do_not_fit_are_told(needed_mb: int, ok: bool) -> None:
    assert checks.memory(needed_mb, 1_000).ok is ok


def test_three_brokers_of_the_default_size_fit_in_two_gigabytes() -> None:
    settings = EmbeddedSettings(brokers=3)
    assert 3 * (settings.heap_mb + checks.OVERHEAD_MB) <= 2_048


def test_free_memory_is_known_and_no_more_than_there_is() -> None:
    whole_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    assert 0 < checks.available_mb() <= whole_mb
