"""What `make reset` ends before it deletes a data directory, and whom it leaves alone."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from deadline import until

from infra.errors import ExitCode
from infra.running import Address
from infra.supervise.ending import end_all, main
from infra.supervise.leftovers import ChildrenFile

ROOT = Path(__file__).parents[3]
HOLDS = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from infra.supervise.lock import name_lock
with name_lock(Path(sys.argv[1]), sys.argv[2], 'it'):
    print('held', flush=True)
    time.sleep(600)
"""
SLEEPS = "print('here', flush=True)\nimport time\ntime.sleep(600)"


@contextmanager
def running(code: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
        process.kill()


def test_up_is_ended_first_and_then_workers_of_their_own(tmp_path: Path) -> None:
    said: list[str] = []
    with running(HOLDS, str(tmp_path), "up") as up, running(HOLDS, str(tmp_path), "alone") as worker:
        end_all(tmp_path, said.append)
        assert (up.wait(5), worker.wait(5)) == (-signal.SIGTERM, -signal.SIGTERM)
    assert said == [
        f"Stopping up (pid {up.pid}) of {tmp_path}",
        f"Stopping alone (pid {worker.pid}) of {tmp_path}",
    ]


def test_a_node_started_by_hand_is_ended(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with running(SLEEPS, "node") as node:
        told = msgspec.json.encode(Address(node.pid, "http://127.0.0.1:1"))
        (tmp_path / "run" / "node.json").write_bytes(told)
        end_all(tmp_path, lambda _: None)
        assert node.wait(5) == -signal.SIGTERM


def test_a_stranger_who_was_given_the_number_of_a_node_or_a_holder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    said: list[str] = []
    with running(SLEEPS) as stranger:
        told = msgspec.json.encode(Address(stranger.pid, "http://127.0.0.1:1"))
        (tmp_path / "run" / "node.json").write_bytes(told)
        (tmp_path / "run" / "up.lock").write_text(f"{stranger.pid}\n")
        end_all(tmp_path, said.append)
        assert stranger.poll() is None
    assert said == []


def test_forgotten_children_are_ended(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with running(SLEEPS) as child:
        ChildrenFile(tmp_path / "run").write([("worker-1", child.pid)])
        end_all(tmp_path, lambda _: None)
        until(lambda: child.poll() is not None, within_s=5)


def test_a_directory_in_which_nothing_ever_ran_is_fine(tmp_path: Path) -> None:
    assert main([str(tmp_path / "nowhere"), str(tmp_path)]) == ExitCode.OK
