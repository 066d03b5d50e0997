"""`penstock kafka` where no broker runs; with one, see tests/broker/test_embedded_command.py."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from infra.cli import main
from infra.errors import ExitCode
from infra.supervise.leftovers import ChildrenFile
from infra.supervise.lock import data_dir_lock


def test_status_of_nothing_is_stopped_and_a_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["kafka", "status", "--data-dir", str(tmp_path)]
    assert main(words) == ExitCode.KAFKA_UNREACHABLE
    assert capsys.readouterr().out.startswith("Kafka is stopped; its data are in ")
    assert main([*words, "--json"]) == ExitCode.KAFKA_UNREACHABLE
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["is_ready"], told["pids"]) == ("stopped", False, [])


def test_stopping_nothing_is_well_and_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["kafka", "stop", "--data-dir", str(tmp_path / "new")]) == ExitCode.OK
    assert capsys.readouterr().out == "Kafka did not run\n"
    assert list(tmp_path.iterdir()) == []


def test_what_up_runs_is_not_stopped_under_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["kafka", "stop", "--data-dir", str(tmp_path)]
    with data_dir_lock(tmp_path):
        # An `up` whose Kafka is not its child, but somebody else's: it would not start it again.
        assert main(words) == ExitCode.OK
        capsys.readouterr()
        ChildrenFile(tmp_path / "run").write([("kafka", os.getpid())])
        assert main(words) == ExitCode.TAKEN
        told = capsys.readouterr().err
        assert f"`penstock up` (pid {os.getpid()}) runs this Kafka and would start it again" in told
    # What a killed `up` has left behind.
    assert main(words) == ExitCode.OK


def test_the_end_of_a_log_is_shown_harmless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "kafka" / "logs" / "kafka.log"
    log.parent.mkdir(parents=True)
    log.write_text("first\nsecond\nthird \x1b[2J\n")
    words = ["kafka", "logs", "--data-dir", str(tmp_path), "-n"]
    assert main([*words, "2"]) == ExitCode.OK
    assert capsys.readouterr().out == "second\nthird \\x1b[2J\n"
    assert main([*words, "0"]) == ExitCode.OK
    assert capsys.readouterr().out == ""
    assert main([*words, "-3"]) == ExitCode.USAGE


def test_a_log_that_was_never_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kafka", "logs", "--data-dir", str(tmp_path)]) == ExitCode.USAGE
    assert "was never started" in capsys.readouterr().err


def test_an_unknown_tool_is_told_with_those_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["kafka", "tool", "nothing", "--data-dir", str(tmp_path)]) == ExitCode.USAGE
    assert "console-producer" in capsys.readouterr().err


def test_fetching_without_a_network_is_a_sentence_and_a_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [f"embedded.cache_dir={tmp_path}", "embedded.mirror=http://127.0.0.1:1/m2"]
    flags = [word for change in changes for word in ("--set", change)]
    assert main(["kafka", "fetch", *flags]) == ExitCode.EMBEDDED_KAFKA
    told = capsys.readouterr().err
    assert "penstock: The embedded Kafka's " in told
    assert "Traceback" not in told
