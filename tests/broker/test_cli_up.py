"""`penstock up` from an empty directory to the last verdict, and that nothing of it is ever left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from deadline import until
from up_process import UpProcess, environment

from infra.errors import ExitCode


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_from_nothing_to_a_summary_and_again_in_under_ten_seconds(data_dir: Path) -> None:
    with UpProcess(data_dir, "--demo", "--until=50", "--rate=50") as up:
        assert up.wait(within_s=180) == ExitCode.OK, up.said
    summary = up.said[up.said.index("50 verdicts in") :].splitlines()
    assert [line.split()[0] for line in summary] == ["50", "decided", "action", "wait", "inference"]
    assert ", 0 dead letters" in summary[0]
    assert "rule " in summary[1]
    assert "model " in summary[1]
    assert "p50" in summary[3]
    assert "p95" in summary[3]
    began = time.monotonic()
    with UpProcess(data_dir) as again:
        again.await_ready()
        took_s = time.monotonic() - began
    # Ten where the machine is free. `make test` has this test run alone; a machine may be half as fast.
    assert took_s < 10 * 2
    assert "topics   all there" in again.said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_within_ten_seconds(data_dir: Path, number: signal.Signals) -> None:
    with UpProcess(data_dir, "--demo") as up:
        up.await_ready()
        assert sorted(up.children()) == ["kafka", "node", "worker-1"]
        began = time.monotonic()
        up.process.send_signal(number)
        # As where the whole process group is signalled, and make passes its own on.
        up.await_said("Stopping")
        up.process.send_signal(number)
        code = up.wait(within_s=15)
        assert time.monotonic() - began < 10
        assert code == (ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.OK)
        assert up.left() == []
    assert "did not stop in time" not in up.said
    assert "Killing" not in up.said
    assert [path.name for path in (data_dir / "run").glob("*.json") if path.stem != "children"] == []


def test_sigterm_during_the_start_stops_what_was_started(data_dir: Path) -> None:
    with UpProcess(data_dir) as up:
        until(lambda: "kafka" in up.children(), within_s=60)
        up.process.terminate()
        assert up.wait(within_s=15) == ExitCode.OK
        assert up.left() == []
    assert "Ready." not in up.said


@pytest.mark.parametrize("opened", [os.openpty, os.pipe], ids=["a closed terminal", "a closed pipe"])
def test_nothing_is_left_when_nobody_reads_any_longer(
    data_dir: Path, opened: Callable[[], tuple[int, int]]
) -> None:
    """What an editor's terminal and `up | head` do; SIGHUP does not come, or is ignored."""
    reading, writing = opened()
    with UpProcess(data_dir, "--demo", stdout=writing) as up:
        os.close(writing)
        with os.fdopen(reading, "rb", buffering=0) as reader:
            said = b""
            while b"Ready." not in said:
                said += reader.read(10_000)
        assert sorted(up.children()) == ["kafka", "node", "worker-1"]
        assert up.wait(within_s=20) == ExitCode.READER_GONE
        assert up.left() == []


def test_a_reader_that_goes_during_the_start_stops_it(data_dir: Path) -> None:
    reading, writing = os.pipe()
    with UpProcess(data_dir, stdout=writing) as up:
        os.close(writing)
        until(lambda: "kafka" in up.children(), within_s=60)
        os.close(reading)
        assert up.wait(within_s=60) == ExitCode.READER_GONE
        assert up.left() == []


def test_a_second_up_on_the_same_directory_is_refused_and_on_another_it_is_not(data_dir: Path) -> None:
    with UpProcess(data_dir) as up:
        up.await_ready()
        with UpProcess(data_dir.with_name("other")) as other:
            other.await_ready()
        second = _ended(data_dir)
        assert second[0] == ExitCode.TAKEN
        assert f"`penstock up` runs already for {data_dir} (pid {up.process.pid})" in second[1]
        assert up.process.poll() is None


def test_children_do_not_outlive_a_killed_up_and_the_next_one_starts(data_dir: Path) -> None:
    with UpProcess(data_dir) as up:
        up.await_ready()
        up.process.kill()
        up.wait(within_s=5)
        until(lambda: not up.left(), within_s=20, what="the reaper has ended all children")
    with UpProcess(data_dir, "--demo", "--until=5") as again:
        assert again.wait(within_s=120) == ExitCode.OK, again.said


def test_what_a_killed_up_and_a_killed_reaper_left_behind_is_ended_by_the_next(data_dir: Path) -> None:
    with UpProcess(data_dir) as up:
        up.await_ready()
        (reaper,) = _reapers(up.process.pid)
        os.kill(reaper, signal.SIGKILL)
        up.process.kill()
        up.wait(within_s=5)
        assert up.left() != []
        with UpProcess(data_dir, "--demo", "--until=5") as again:
            assert again.wait(within_s=120) == ExitCode.OK, again.said
        assert "which an earlier `up` has left behind" in again.said


def test_a_directory_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, said = _ended(tmp_path / "file" / "below", cwd=tmp_path)
    assert code == ExitCode.TAKEN
    assert "cannot be written (Not a directory)" in said
    assert said.count("\n") == 1


def test_a_broker_that_is_down_is_told_and_nothing_is_left(data_dir: Path) -> None:
    code, said = _ended(data_dir, "--bootstrap=127.0.0.1:9")
    assert code == ExitCode.KAFKA_UNREACHABLE
    assert "penstock: Kafka at 127.0.0.1:9 did not answer" in said


def test_a_missing_policy_is_told_in_the_workers_own_words(data_dir: Path) -> None:
    code, said = _ended(data_dir, "--set=policy=strict")
    assert code == ExitCode.POLICY
    assert "worker-1: No policy `strict` is active" in said
    assert "starting it again" not in said


def _ended(data_dir: Path, *words: str, cwd: Path | None = None) -> tuple[int, str]:
    """A run of `up` that ends by itself: its code, and what it said."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "infra.cli", f"--data-dir={data_dir}", "up", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
        cwd=cwd or data_dir.parent,
        env=environment(),
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def _reapers(parent: int) -> list[int]:
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_bytes().rpartition(b")")[2].split()
            command = (file.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == parent and b"reaper.py" in command:
            found.append(int(file.parent.name))
    return found


def test_a_node_that_runs_already_is_used_and_left_running(data_dir: Path) -> None:
    words = [sys.executable, "-m", "infra.cli", "--data-dir", str(data_dir), "node", "--port=0"]
    node = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        until((data_dir / "run" / "node.json").exists, within_s=30)
        with UpProcess(data_dir, "--demo", "--until=20", "--rate=50") as up:
            assert up.wait(within_s=180) == ExitCode.OK, up.said
            assert f"(pid {node.pid}), and is left running" in up.said
            assert node.poll() is None
            assert (data_dir / "run" / "node.json").exists()
            node.terminate()
            assert node.wait(30) == ExitCode.OK
    finally:
        node.kill()
        node.wait()
