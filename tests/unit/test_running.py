"""Where a process listens is told in a file, and taken back by it, or for it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from infra.running import Address, address_of, tell, untell


def test_what_a_process_told_is_taken_back_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "run" / "worker-1.json"
    tell(path, "http://127.0.0.1:1")
    assert address_of(tmp_path, "worker-1") == Address(os.getpid(), "http://127.0.0.1:1")
    untell(path)
    assert not path.exists()


def test_what_one_that_was_killed_told_is_taken_back_for_it_and_for_no_other(tmp_path: Path) -> None:
    path = tmp_path / "worker-1.json"
    path.write_bytes(msgspec.json.encode(Address(4_000_001, "http://127.0.0.1:1")))
    untell(path)
    untell(path, 4_000_002)
    assert path.exists()
    untell(path, 4_000_001)
    assert not path.exists()
