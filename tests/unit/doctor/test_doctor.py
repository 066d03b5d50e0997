"""The doctor says what is wrong and what to do, in a line for a person and in JSON, and in its exit code."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from infra import cli
from infra.doctor.findings import Finding, exit_code_of, fail, line, ok, warn
from infra.doctor.machine import data_dir, memory, ports, python
from infra.doctor.services import of_nodes
from infra.errors import ExitCode
from schemas.settings import HttpSettings, NodeSettings, Settings, SuperviseSettings


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_exit_code_is_that_of_the_first_failure() -> None:
    found = [
        ok("a", ""),
        warn("b", "", ""),
        fail("c", "", "", ExitCode.TAKEN),
        fail("d", "", "", ExitCode.POLICY),
    ]
    assert exit_code_of(found) == ExitCode.TAKEN
    assert exit_code_of(found[:2]) == ExitCode.OK


def test_a_line_says_what_to_do_and_cannot_steer_the_terminal() -> None:
    shown = line(fail("kafka", "odd \x1b[2J", "mend it", ExitCode.KAFKA_UNREACHABLE))
    assert shown == "fail  kafka            odd \\x1b[2J\n      → mend it"


def test_this_python_is_one_of_those_that_were_tried() -> None:
    assert python().level == "ok"


def test_a_directory_below_a_file_cannot_be_written_and_none_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = data_dir(tmp_path / "file" / "below")
    assert (found.level, found.exit_code) == ("fail", ExitCode.TAKEN)
    assert data_dir(tmp_path / "new" / "below").level == "ok"
    assert not (tmp_path / "new").exists()


def test_too_little_memory_is_worth_knowing() -> None:
    settings = Settings(supervise=SuperviseSettings(workers=4))
    assert memory(settings, 10_000).level == "ok"
    assert memory(settings, 500).level == "warn"


def test_a_taken_port_is_named_with_its_setting() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        (found,) = ports(Settings(http=HttpSettings(port=port)))
    assert found.level == "warn"
    assert "http.port" in found.advice


def test_a_node_that_does_not_answer_fails_with_its_code(tmp_path: Path) -> None:
    node = NodeSettings(url=f"http://127.0.0.1:{_closed_port()}")
    (found,) = of_nodes(Settings(data_dir=str(tmp_path), nodes=(node,)))
    assert (found.level, found.exit_code) == ("fail", ExitCode.NODE_UNREACHABLE)
    assert "node_unreachable" in found.detail


def test_where_nothing_runs_yet_there_is_nothing_that_somebody_must_mend(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = cli.main(["doctor", "--json", "--data-dir", str(tmp_path / "new")])
    found = [Finding(**one) for one in json.loads(capsys.readouterr().out)]
    named = {finding.name: finding.level for finding in found}
    assert {"python", "java", "kafka jars", "memory", "kafka", "node", "workers"} <= named.keys()
    assert (named["kafka"], named["node"], named["workers"]) == ("warn", "warn", "warn")
    assert status == exit_code_of(found) == ExitCode.OK
