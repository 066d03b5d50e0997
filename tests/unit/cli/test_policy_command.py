"""`penstock policy` without a broker: what it says of files, and with which exit code."""

from __future__ import annotations

import pytest

from infra.cli import main
from infra.errors import ExitCode


def test_the_policy_that_penstock_brings_along_has_no_mistakes(capsys):
    assert main(["policy", "check"]) == ExitCode.OK
    assert "no mistakes in 11 labels" in capsys.readouterr().out


def test_test_tells_of_every_rule(capsys):
    assert main(["policy", "test"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert "repetition: matches 3, lets pass 3, as it should" in lines
    assert len(lines) == 15


@pytest.mark.parametrize("command", ["check", "test", "push"])
def test_a_bad_policy_is_exit_code_5_before_any_kafka_is_looked_for(command, tmp_path, capsys):
    file = tmp_path / "bad.toml"
    file.write_text('id = "x"\nversion = "one"\nlabels = []\n')
    assert main(["policy", command, str(file)]) == ExitCode.POLICY
    said = capsys.readouterr()
    assert said.out == ""
    assert "$.version" in said.err
    assert "Traceback" not in said.err


def test_a_file_that_is_not_there_is_exit_code_5(tmp_path, capsys):
    assert main(["policy", "check", str(tmp_path / "none.toml")]) == ExitCode.POLICY
    assert "cannot be read" in capsys.readouterr().err


def test_without_a_kafka_a_good_policy_is_not_published(tmp_path, capsys):
    assert main(["--data-dir", str(tmp_path), "policy", "push"]) == ExitCode.KAFKA_UNREACHABLE
    assert "penstock kafka start" in capsys.readouterr().err


def test_the_name_of_a_file_cannot_steer_the_terminal(tmp_path, capsys):
    assert main(["policy", "check", str(tmp_path / "a\x1b[2J.toml")]) == ExitCode.POLICY
    assert "\x1b" not in capsys.readouterr().err
