"""Benches: what is measured is divided rightly, a missed target is told and fails, every bench does work."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra.bench.__main__ import BENCHES, main
from infra.bench.engine_suite import speed
from infra.bench.measuring import cpu_us_per_event
from infra.bench.posts import demo_events, fetched, posts
from infra.bench.report import Finding, summary
from schemas.settings import LimitSettings
from schemas.wire import event_decoder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def finding(**fields):
    return Finding(**({"what": "a thing", "ours": 6.0, "unit": "us"} | fields))


@pytest.mark.parametrize(
    ("fields", "is_met"),
    [
        ({}, True),
        ({"target": 6.0}, True),
        ({"target": 5.9}, False),
        ({"target": 2.0, "peer": 3.0}, True),
        ({"target": 1.9, "peer": 3.0}, False),
        ({"target": 6.0, "bound": "at least"}, True),
        ({"target": 6.1, "bound": "at least"}, False),
        ({"target": 2.1, "peer": 3.0, "bound": "at least"}, False),
    ],
)
def test_a_target_is_for_the_ratio_where_there_is_a_peer_and_else_for_the_figure(fields, is_met):
    assert finding(**fields).is_met is is_met


def test_a_line_tells_figure_peer_ratio_and_target():
    line = " ".join(str(finding(peer=2.5, target=2.0)).split())
    assert line == "a thing 6 us peer 2.5 us, ratio 2.40 at most 2 MISSED"


def test_the_summary_names_what_was_missed():
    assert summary([finding(target=7.0), finding()]) == "1 targets, all met"
    assert summary([finding(target=5.0, what="x"), finding(target=7.0)]) == "1 of 2 targets missed: x"


def test_the_sides_take_turns_and_only_the_timed_part_counts():
    turns = []

    def side(name, spin):
        def prepare():
            turns.append(name)
            return lambda: len([None for _ in range(spin)])

        return prepare

    found = cpu_us_per_event({"a": side("a", 50_000), "b": side("b", 50_000)}, rounds=3)
    assert turns == ["a", "b"] * 3
    assert all(0 < us < 50 for us in found.values())


def test_a_side_that_did_nothing_is_an_error():
    with pytest.raises(AssertionError, match="went through nothing"):
        cpu_us_per_event({"idle": lambda: lambda: 0}, rounds=1)


def test_the_posts_are_events_of_some_250_bytes_and_the_same_each_time():
    values = posts(400)
    assert values == posts(400)
    assert {event_decoder(LimitSettings().record_bytes_max)(value).kind for value in values} == {
        "moderate",
        "scan",
    }
    assert 200 < sum(map(len, values)) / len(values) < 350
    assert [record.offset for record in fetched(values[:3], first_offset=5)] == [5, 6, 7]
    assert {event.kind for event in demo_events(400)} > {"moderate", "scan", "review_ban"}


@pytest.mark.parametrize("name", ["wire", "watermark", "deciding", "triage"])
def test_a_bench_without_a_broker_measures_something(name, monkeypatch):
    bench = importlib.import_module(BENCHES[name][0])
    # One round says little of the cost; here it is to be seen that the bench runs and checks its own work.
    monkeypatch.setattr(bench, "_ROUNDS", 1)
    findings = list(bench.run())
    held_to = [one for one in findings if one.target is not None]
    assert len(held_to) >= 2
    # Memory beyond what the process has had before may be none.
    assert all(one.ours > 0 for one in held_to)


def test_a_missed_target_is_the_exit_status(monkeypatch, capsys):
    # A bench with figures of its own: those of a true one depend on the machine.
    met, missed = finding(target=7.0), finding(target=5.0, what="another thing")
    for name, findings in {"good": [met, met], "bad": [met, missed]}.items():
        monkeypatch.setitem(BENCHES, name, (f"bench_{name}", "Measures nothing."))
        monkeypatch.setitem(sys.modules, f"bench_{name}", SimpleNamespace(run=lambda found=findings: found))

    assert main(["good"]) == 0
    assert capsys.readouterr().out.endswith("2 targets, all met\n")
    assert main(["good", "bad"]) == 1
    assert capsys.readouterr().out.endswith("1 of 4 targets missed: another thing\n")


def test_an_unknown_bench_is_told_with_those_that_there_are():
    done = subprocess.run(
        [sys.executable, "-m", "infra.bench", "nothing"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "there is no bench `nothing`; there are wire, watermark, deciding, triage, engine" in done.stderr


def test_work_is_held_to_a_ratio_and_a_copy_to_microseconds():
    figures = {"raw us": 2.4, "ours us": 3.6, "raw /s": 10.0, "ours /s": 10.0}
    told = {
        finding.what: finding
        for work in ("pass", "triage")
        for finding in speed.findings(work, figures, ("raw", "ours"))
    }
    ratio = told["triage: CPU, ours"]
    assert (ratio.judged, ratio.target, ratio.is_met) == (pytest.approx(1.5), 1.4, False)
    assert told["pass: CPU, ours"].target is None
    assert told["pass: CPU beyond raw"].is_met
