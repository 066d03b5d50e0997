"""One `up` for one data directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.errors import ExitCode, Failure
from infra.supervise.lock import data_dir_lock, holder_of, name_lock


def test_a_second_holder_is_told_who_is_the_first(tmp_path: Path) -> None:
    with data_dir_lock(tmp_path):
        with pytest.raises(Failure, match=rf"runs already for .* \(pid {os.getpid()}\)") as failed:
            data_dir_lock(tmp_path).__enter__()
        assert failed.value.exit_code == ExitCode.TAKEN


def test_a_lock_that_was_given_back_can_be_taken(tmp_path: Path) -> None:
    for _ in range(2):
        with data_dir_lock(tmp_path / "made" / "on" / "the" / "way"):
            pass


def test_a_directory_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match=r"cannot be written \(Not a directory\): name another") as failed:
        data_dir_lock(tmp_path / "file" / "below").__enter__()
    assert failed.value.exit_code == ExitCode.TAKEN


def test_who_holds_a_name_is_told_while_it_does_and_looking_makes_nothing(tmp_path: Path) -> None:
    assert holder_of(tmp_path, "node") is None
    assert list(tmp_path.iterdir()) == []
    with name_lock(tmp_path, "node", "A reference node"):
        assert holder_of(tmp_path, "node") == os.getpid()
        assert holder_of(tmp_path, "up") is None
    assert holder_of(tmp_path, "node") is None
