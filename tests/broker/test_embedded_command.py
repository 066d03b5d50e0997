"""`penstock kafka` with a broker: in the background, in the foreground for a supervisor, with its tools."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deadline import until

from infra.embedded import EmbeddedKafka, bootstrap_of, wait_until_ready
from infra.errors import ExitCode
from infra.supervise.processes import started_at
from schemas.settings import EmbeddedSettings


def penstock(
    data_dir: Path, *words: str, entered: str = "", within_s: float = 90
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infra.cli", "--data-dir", str(data_dir), "kafka", *words]
    return subprocess.run(
        command, input=entered, capture_output=True, text=True, timeout=within_s, check=False
    )


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    EmbeddedKafka(tmp_path / "kafka", EmbeddedSettings()).kill()


@pytest.fixture
def in_foreground(data_dir: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start it as a supervisor does: in a session of its own."""
    children = []
    command = [
        sys.executable,
        "-m",
        "infra.cli",
        "--data-dir",
        str(data_dir),
        "kafka",
        "start",
        "--foreground",
    ]

    def start() -> subprocess.Popen[bytes]:
        children.append(subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL))
        return children[-1]

    yield start
    for child in children:
        child.kill()
        child.wait(10)


def test_a_broker_in_the_background_and_kafka_s_own_console_tools(data_dir: Path) -> None:
    started = penstock(data_dir, "start")
    assert started.returncode == ExitCode.OK, started.stderr
    address = bootstrap_of(data_dir)
    assert f"is ready at {address}" in started.stdout
    status = json.loads(penstock(data_dir, "status", "--json").stdout)
    assert (status["state"], status["bootstrap"], status["is_ready"]) == ("running", address, True)
    again = penstock(data_dir, "start")
    assert f"(pid {status['pids'][0]})" in again.stdout

    made = penstock(data_dir, "tool", "topics", "--", "--create", "--topic", "posts", "--partitions", "1")
    assert made.returncode == 0, made.stderr
    record = json.dumps({"id": "post-1", "text": "ünïcode"})
    sent = penstock(data_dir, "tool", "console-producer", "--", "--topic", "posts", entered=record + "\n")
    assert sent.returncode == 0, sent.stderr
    reading = ["--topic", "posts", "--from-beginning", "--max-messages", "1", "--timeout-ms", "20000"]
    read = penstock(data_dir, "tool", "console-consumer", "--", *reading)
    assert read.stdout.strip() == record

    assert "stopped" in penstock(data_dir, "stop").stdout
    assert started_at(status["pids"][0]) == "", "its process is gone"
    assert penstock(data_dir, "status").returncode == ExitCode.KAFKA_UNREACHABLE


def test_from_an_empty_cache_its_jars_are_fetched_and_it_starts_from_nothing_else(data_dir: Path) -> None:
    cache = data_dir / "cache"
    kept = ("--set", f"embedded.cache_dir={cache}")
    # All comes from the repository, over whatever network there is.
    fetched = penstock(data_dir, "fetch", *kept, within_s=600)
    assert fetched.returncode == ExitCode.OK, fetched.stderr
    jars = {path: path.stat().st_mtime_ns for path in cache.rglob("*.jar")}
    assert len(jars) > 20

    # Whoever would still fetch something now finds nobody.
    started = penstock(data_dir, "start", *kept, "--set", "embedded.mirror=http://127.0.0.1:1/m2")
    assert started.returncode == ExitCode.OK, started.stderr
    assert "is ready at" in started.stdout
    command = Path(f"/proc/{json.loads(penstock(data_dir, 'status', '--json').stdout)['pids'][0]}/cmdline")
    assert str(cache) in command.read_text()
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.jar")} == jars


def test_in_the_foreground_the_child_is_kafka_itself(
    data_dir: Path, in_foreground: Callable[[], subprocess.Popen[bytes]]
) -> None:
    child = in_foreground()
    address = until(lambda: bootstrap_of(data_dir), within_s=30)
    wait_until_ready(address, timeout_s=60)
    (broker,) = EmbeddedKafka(data_dir / "kafka", EmbeddedSettings()).brokers
    assert broker.pid == child.pid

    second = penstock(data_dir, "start", "--foreground")
    assert second.returncode == ExitCode.TAKEN
    assert "runs already" in second.stderr

    child.kill()
    child.wait(10)
    assert bootstrap_of(data_dir) is None, "there is nothing between the child and Kafka that could live on"
    child = in_foreground()
    assert until(lambda: bootstrap_of(data_dir), within_s=30) == address
    wait_until_ready(address, timeout_s=60)
    child.terminate()
    assert child.wait(15) == 128 + signal.SIGTERM
    assert "BrokerServer id=1] shut down completed" in (data_dir / "kafka" / "logs" / "kafka.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ended_at_any_moment_of_its_first_start_the_next_one_works(
    number: signal.Signals, data_dir: Path, in_foreground: Callable[[], subprocess.Popen[bytes]]
) -> None:
    child = in_foreground()
    # While storage is being formatted: the most delicate moment.
    until((data_dir / "kafka" / "broker-1" / "format.properties").exists, within_s=30)
    child.send_signal(number)
    child.wait(20)
    child = in_foreground()
    wait_until_ready(until(lambda: bootstrap_of(data_dir), within_s=30), timeout_s=60)
    assert child.poll() is None
