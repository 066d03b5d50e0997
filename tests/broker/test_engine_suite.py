"""The bench of the engine: every contender does all of its work, and what it tells of it can be divided."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from deadline import until

from infra.bench.engine_suite.arena import PARTITIONS, Arena
from infra.bench.engine_suite.child import CONTENDERS
from infra.bench.engine_suite.effort import percentile
from infra.bench.engine_suite.memory import growth_mb
from infra.bench.engine_suite.pacing import Pacer

RECORDS = 2_000
ROOT = Path(__file__).parents[2]


@pytest.fixture
def arena(kafka: str, topics_prefix: str, tmp_path: Path) -> Arena:
    return Arena(kafka, tmp_path, (), prefix=topics_prefix)


# The others are the fast path's (`test_triage_suite.py`).
@pytest.mark.parametrize(
    "contender", [name for name, (module, _) in CONTENDERS.items() if "engine_suite" in module]
)
def test_a_contender_writes_an_output_for_each_record(contender, arena):
    source, target = arena.filled("posts", RECORDS), arena.topic("verdicts")
    work = "slow" if contender == "asyncio" else "triage"
    job = arena.job(contender, work, {source: target}, {source: RECORDS})
    outcome = arena.run(msgspec.structs.replace(job, wait_ms=5, in_flight=100 if work == "slow" else 0))
    assert sum(arena.ends(target)) == RECORDS
    assert outcome.records == RECORDS
    assert outcome.cpu_us > 0
    assert outcome.rate > 0
    assert outcome.began_s < outcome.done_s[source] <= outcome.ended_s


def test_an_output_that_is_not_there_or_too_much_is_found_out(arena):
    source, target = arena.filled("posts", RECORDS), arena.topic("verdicts")
    # It reads on to the end of a batch, and stops then.
    job = arena.job("raw", "pass", {source: target}, {source: 1})
    with pytest.raises(AssertionError, match=r"raw: \d+ outputs for 1 records"):
        arena.run(job)


def test_what_is_sent_at_a_rate_comes_back_with_its_latency(arena):
    source, target = arena.topic("trickle"), arena.topic("verdicts")
    job = arena.job("ours", "pass", {source: target}, {source: 500})
    pacer = Pacer(arena.bootstrap, source, target, partitions=PARTITIONS)
    with arena.running(job) as contender:
        found = pacer.send(arena.post, 500, 1_000)
        contender.outcome()
    pacer.close()
    assert len(found) == 500
    assert all(latency_ms > 0 for _, latency_ms in found)


def test_growth_is_told_of_the_whole_run_whatever_a_look_is_off_by():
    assert growth_mb([100.0] * 50, share=0.5) == 0
    assert growth_mb([100.0 + look / 10 for look in range(50)], share=0.5) == pytest.approx(10.0)
    assert abs(growth_mb([100.0 + look % 2 for look in range(50)], share=0.5)) < 0.2


def test_a_percentile_is_a_figure_that_was_seen():
    assert [percentile(range(100), share) for share in (0.0, 0.5, 0.99, 1.0)] == [0, 50, 99, 99]


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_suite_that_is_ended_early_takes_its_broker_and_its_contender_along(told, tmp_path):
    command = [sys.executable, "-m", "infra.bench.engine_suite", "--only", "latency"]
    with subprocess.Popen(
        command, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as suite:
        assert suite.stdout is not None
        assert any(line.startswith("latency:") for line in suite.stdout), "it got as far as its first section"
        until(lambda: len(_living(tmp_path)) >= 2, within_s=60, what="a broker and a contender run")
        suite.send_signal(told)
        assert suite.wait(30) == 128 + told
    assert _living(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def _living(directory: Path) -> list[str]:
    """What runs in this directory, or has something in it on its command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().decode(errors="replace")
            if str(directory) in f"{words} {(process / 'cwd').readlink()}":
                found.append(words)
    return found
