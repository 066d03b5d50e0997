"""`penstock config` says each value with its origin, judges a file, prints schema and reference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.cli import main
from infra.errors import ExitCode
from infra.settings.leaves import leaves


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory without a settings file, and an environment that says nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PENSTOCK_CONFIG", raising=False)


def test_every_setting_is_shown_with_its_origin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(leaves())
    assert all(line.endswith("default") for line in lines)


def test_one_setting_and_one_section_can_be_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK__KAFKA__LINGER_MS", "9")
    assert main(["config", "show", "kafka.linger_ms"]) == ExitCode.OK
    assert capsys.readouterr().out.split() == [
        "kafka.linger_ms",
        "9",
        "restart",
        "PENSTOCK__KAFKA__LINGER_MS",
    ]
    assert main(["config", "show", "http", "--set", "http.port=80"]) == ExitCode.OK
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["default", "--set"]


def test_programs_get_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK__SECRET", "hunter2")
    monkeypatch.setenv("PENSTOCK__NODES", "ollama+http://h:1?token=hunter2")
    assert main(["config", "show", "--json"]) == ExitCode.OK
    out = capsys.readouterr().out
    shown = {line["path"]: line for line in json.loads(out)}
    assert shown["secret"] == {
        "path": "secret",
        "value": "***",
        "source": "environment",
        "place": "PENSTOCK__SECRET",
        "reload": "restart",
    }
    assert shown["nodes[0].kind"]["value"] == "ollama"
    assert shown["nodes[0].token"]["value"] == "***"
    assert shown["judge.attempts_max"] == {
        "path": "judge.attempts_max", "value": 4, "source": "default", "place": "default", "reload": "live"
    }  # fmt: skip
    assert "hunter2" not in out


def test_a_setting_that_does_not_exist_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["config", "show", "kafka.lingerms"]) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert shown.err == "penstock: there is no setting kafka.lingerms; did you mean kafka.linger_ms?\n"
    assert shown.out == ""


def test_a_file_is_judged_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK__KAFKA__LINGER_MS", "nonsense")
    (tmp_path / "good.toml").write_text("[kafka]\nlinger_ms = 1\n")
    (tmp_path / "bad.toml").write_text("[kafka]\nlinger_ms = -1\nfetch_wait_ms = 0\n")
    assert main(["config", "check", "good.toml"]) == ExitCode.OK
    assert capsys.readouterr().out == "good.toml: no mistakes\n"
    assert main(["config", "check", "bad.toml"]) == ExitCode.USAGE
    assert capsys.readouterr().err == (
        "penstock: settings: 2 mistakes:\n"
        "  kafka.linger_ms = -1 (bad.toml:2): must be a whole number from 0 to 1000\n"
        "  kafka.fetch_wait_ms = 0 (bad.toml:3): must be a whole number from 1 to 5000\n"
    )


def test_the_schema_is_json_and_the_reference_is_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == ExitCode.OK
    assert "Settings" in json.loads(capsys.readouterr().out)["$defs"]
    assert main(["config", "reference"]) == ExitCode.OK
    page = capsys.readouterr().out
    assert all(f"| `{path}`" in page for path, leaf in leaves().items() if not leaf.is_nodes)
