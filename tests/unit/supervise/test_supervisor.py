"""Children are kept, restarted, given up and stopped; none outlives the supervisor. With real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from deadline import eventually, until

from infra.errors import ExitCode, Failure
from infra.supervise.child import Spec
from infra.supervise.leftovers import ChildrenFile
from infra.supervise.processes import started_at
from infra.supervise.supervisor import Supervisor
from schemas.settings import SuperviseSettings
from streams.clock import SystemClock

pytestmark = pytest.mark.slow

STEADY = "import time; print('hello', flush=True); time.sleep(600)"
# Says nothing, because nobody may be left to hear it.
SILENT = "import time; time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + STEADY
# A child with a child of its own, whose number it tells.
PARENT = """
import subprocess, sys, time
print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True)
time.sleep(600)
"""


async def _ready(pid: int) -> str:
    return "" if started_at(pid) else "it is gone"


async def _never_ready(pid: int) -> str:
    return "it still loads"


def child(
    name: str,
    code: str,
    probe: Callable[[int], Awaitable[str]] = _ready,
    *,
    within_s: float = 10,
    may_lag: bool = False,
) -> Spec:
    return Spec(name, [sys.executable, "-c", textwrap.dedent(code)], probe, within_s, may_lag)


class Kept:
    """A supervisor and what it said."""

    def __init__(self, data_dir: Path, settings: SuperviseSettings) -> None:
        (data_dir / "run").mkdir(exist_ok=True)
        self.said: list[str] = []
        self.supervisor = Supervisor(settings, data_dir, SystemClock(), self.said.append)

    def pid(self, name: str) -> int:
        return self.supervisor.children[name].pid

    def log(self, name: str) -> str:
        file = self.supervisor.children[name].log.path
        return file.read_text() if file.exists() else ""


@pytest.fixture
async def keep(tmp_path: Path) -> AsyncIterator[Callable[..., Kept]]:
    made: list[Kept] = []

    def make(**settings: int) -> Kept:
        made.append(Kept(tmp_path, SuperviseSettings(**({"stop_timeout_s": 2} | settings))))
        return made[-1]

    yield make
    for one in made:
        await one.supervisor.stop()


async def test_what_a_child_says_is_in_its_log(keep: Callable[..., Kept]) -> None:
    kept = keep()
    await kept.supervisor.start([child("a", STEADY)])
    await eventually(lambda: kept.log("a").endswith(" a | hello\n"), within_s=10)
    assert str(kept.supervisor) == "<Supervisor [1 up of 1]>"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGINT])
async def test_a_killed_child_is_told_of_and_started_again(
    keep: Callable[..., Kept], number: signal.Signals
) -> None:
    kept = keep()
    await kept.supervisor.start([child("a", STEADY), child("b", STEADY)])
    first, other = kept.pid("a"), kept.pid("b")
    # Python that is interrupted before it runs anything ends with a code rather than by the signal.
    await eventually(lambda: "hello" in kept.log("a"), within_s=10)
    os.kill(first, number)
    await eventually(lambda: kept.pid("a") != first and kept.supervisor.up == 2, within_s=10)
    assert started_at(kept.pid("a"))
    assert kept.pid("b") == other
    assert f"a died: {number.name}" in kept.said[0]
    assert kept.said[1] == f"a is up again (pid {kept.pid('a')})."


async def test_a_child_that_a_ctrl_c_meets_is_neither_told_of_nor_started_again(
    keep: Callable[..., Kept],
) -> None:
    kept = keep()
    await kept.supervisor.start([child("a", STEADY)])
    first = kept.pid("a")
    await eventually(lambda: "hello" in kept.log("a"), within_s=10)
    os.kill(first, signal.SIGINT)
    await eventually(lambda: not started_at(first), within_s=10)
    kept.supervisor.expect_stop()
    await kept.supervisor.stop()
    assert (kept.said, kept.pid("a")) == ([], first)


async def test_a_child_that_keeps_dying_is_given_up_with_its_last_words(keep: Callable[..., Kept]) -> None:
    kept = keep(restarts_max=2)
    await kept.supervisor.start([child("a", "import time; time.sleep(0.3); raise SystemExit('no luck')")])
    failure = await asyncio.wait_for(kept.supervisor.given_up(), 20)
    assert failure.exit_code == ExitCode.CHILD_KEPT_DYING
    assert "a: it died 3 times within 60 s, at last: exit code 1, unexpected (no luck)" in failure.sentence
    assert sum("starting it again" in line for line in kept.said) == 2


async def test_a_mistake_is_told_in_the_childs_own_sentence_and_code_without_a_second_try(
    keep: Callable[..., Kept],
) -> None:
    kept = keep()
    code = "import sys; print('penstock: The policy is missing: push one.', file=sys.stderr); sys.exit(5)"
    with pytest.raises(Failure, match=r"^a: The policy is missing: push one\. Its log: ") as failed:
        await kept.supervisor.start([child("a", code, _never_ready)])
    assert failed.value.exit_code == ExitCode.POLICY
    assert kept.said == []


async def test_a_child_that_does_not_get_ready_fails_the_start_and_says_why(
    keep: Callable[..., Kept],
) -> None:
    kept = keep()
    with pytest.raises(Failure, match=r"a: it was not ready within 0\.2 s: it still loads"):
        await kept.supervisor.start([child("a", STEADY, _never_ready, within_s=0.2)])


async def test_a_child_that_may_lag_does_not_hold_up_the_others(keep: Callable[..., Kept]) -> None:
    kept = keep()
    await kept.supervisor.start([child("a", STEADY, _never_ready, within_s=0.2, may_lag=True)])
    assert kept.said == ["a is not ready yet: it still loads"]
    assert kept.supervisor.up == 0


class Needing:
    """A `kafka`, a `worker` that needs it and ends with code 3 while it is away, and a file that says so."""

    def __init__(self, kept: Kept, tmp_path: Path) -> None:
        self.away = tmp_path / "away"
        self.kept = kept

    async def start(self) -> None:
        async def kafka_is_ready(_: int) -> str:
            return "recovering" if self.away.exists() else ""

        away = f"os.path.exists({str(self.away)!r})"
        code = f"import os, sys, time\nwhile not {away}: time.sleep(0.02)\nsys.exit(3)"
        worker = child("worker", code)
        await self.kept.supervisor.start([child("kafka", STEADY, kafka_is_ready)])
        await self.kept.supervisor.start([Spec("worker", worker.argv, _ready, 10, needs=("kafka",))])

    def kill_kafka(self) -> None:
        """From now on it takes long to come back."""
        os.kill(self.kept.pid("kafka"), signal.SIGKILL)
        until(lambda: not started_at(self.kept.pid("kafka")), within_s=10)
        self.away.touch()

    async def await_worker(self) -> None:
        worker = self.kept.supervisor.children["worker"]
        await eventually(lambda: worker.state == "up" and started_at(worker.pid), within_s=10)


async def test_a_child_that_ends_because_what_it_needs_is_away_is_not_blamed_and_waits_for_it(
    keep: Callable[..., Kept], tmp_path: Path
) -> None:
    kept = keep(restarts_max=1)
    needing = Needing(kept, tmp_path)
    await needing.start()
    first = kept.pid("worker")
    needing.kill_kafka()
    said = "worker ended, because kafka is down, and waits for it."
    await eventually(lambda: said in kept.said, within_s=10)
    await eventually(lambda: kept.supervisor.children["kafka"].state == "starting", within_s=10)
    assert kept.pid("worker") == first
    needing.away.unlink()
    await needing.await_worker()
    assert kept.pid("worker") != first
    assert kept.supervisor.children["worker"].restarts == 0


async def test_a_program_that_does_not_exist_is_given_up(keep: Callable[..., Kept]) -> None:
    kept = keep(restarts_max=1)
    with pytest.raises(Failure, match="it died 2 times"):
        await kept.supervisor.start([Spec("a", ["/nowhere/at/all"], _ready, 5)])
    assert kept.said[0] == "a cannot be started: No such file or directory"


async def test_stopping_goes_in_the_opposite_order_and_leaves_no_process(
    keep: Callable[..., Kept], tmp_path: Path
) -> None:
    kept = keep()
    tells = """
    import signal, sys, time
    def stop(*_):
        open(sys.argv[1], 'a').write(sys.argv[2])
        sys.exit(0)
    signal.signal(signal.SIGTERM, stop)
    print('ready', flush=True)
    time.sleep(600)
    """
    order = tmp_path / "order"
    for name in ("kafka", "node", "worker"):
        spec = child(name, tells)
        argv = [*spec.argv, str(order), name[0]]

        async def listens(_: int, name: str = name) -> str:
            return "" if "ready" in kept.log(name) else "not yet"

        await kept.supervisor.start([Spec(name, argv, listens, 10)])
    pids = [kept.pid(name) for name in ("kafka", "node", "worker")]
    await kept.supervisor.stop()
    assert order.read_text() == "wnk"
    assert [started_at(pid) for pid in pids] == ["", "", ""]
    assert kept.said == []


async def test_who_does_not_stop_in_time_is_killed(keep: Callable[..., Kept]) -> None:
    kept = keep(stop_timeout_s=1)
    await kept.supervisor.start([child("a", STUBBORN)])
    await eventually(lambda: "hello" in kept.log("a"), within_s=10)
    pid = kept.pid("a")
    await asyncio.wait_for(kept.supervisor.stop(), 4)
    assert not started_at(pid)
    assert kept.said == ["a did not stop in time and is killed."]


async def test_a_second_ctrl_c_kills_at_once(keep: Callable[..., Kept]) -> None:
    kept = keep(stop_timeout_s=60)
    await kept.supervisor.start([child("a", STUBBORN)])
    await eventually(lambda: "hello" in kept.log("a"), within_s=10)
    at_once = asyncio.Event()
    at_once.set()
    await asyncio.wait_for(kept.supervisor.stop(at_once=at_once), 4)
    assert not started_at(kept.pid("a"))


async def test_stopping_during_a_start_leaves_no_process(keep: Callable[..., Kept]) -> None:
    kept = keep()
    starting = asyncio.create_task(kept.supervisor.start([child("a", STEADY, _never_ready)]))
    await eventually(lambda: "a" in kept.supervisor.children and kept.pid("a"), within_s=10)
    starting.cancel()
    await asyncio.wait_for(kept.supervisor.stop(), 4)
    assert not started_at(kept.pid("a"))


async def test_stopping_during_the_pause_before_a_restart_starts_nothing(keep: Callable[..., Kept]) -> None:
    kept = keep()
    await kept.supervisor.start([child("a", STEADY)])
    os.kill(kept.pid("a"), signal.SIGKILL)
    await eventually(lambda: kept.supervisor.children["a"].state == "pausing", within_s=10)
    await asyncio.wait_for(kept.supervisor.stop(), 4)
    assert kept.supervisor.children["a"].state == "stopped"
    assert not started_at(kept.pid("a"))


async def test_a_grandchild_does_not_outlive_a_killed_child(keep: Callable[..., Kept]) -> None:
    kept = keep()
    await kept.supervisor.start([child("a", PARENT)])
    await eventually(lambda: kept.log("a"), within_s=10)
    grandchild = int(kept.log("a").split()[-1])
    assert started_at(grandchild)
    os.kill(kept.pid("a"), signal.SIGKILL)
    await eventually(lambda: not started_at(grandchild), within_s=10)


async def test_a_flooding_child_fills_no_more_than_its_files(keep: Callable[..., Kept]) -> None:
    kept = keep(log_bytes_max=100_000, log_files_max=3)
    flood = "import sys\nfor n in range(40_000): print(n, 'x' * 90)\nprint('last', flush=True)\n" + STEADY
    await kept.supervisor.start([child("a", flood)])
    await eventually(lambda: "| last\n" in kept.log("a"), within_s=30)
    logs = [*kept.supervisor.children["a"].log.path.parent.iterdir()]
    assert sorted(file.name for file in logs) == ["a.log", "a.log.1", "a.log.2"]
    assert all(file.stat().st_size <= 100_000 for file in logs)


async def test_the_reaper_is_started_again_when_it_was_killed(keep: Callable[..., Kept]) -> None:
    kept = keep()
    await kept.supervisor.start([child("a", STEADY)])
    reaper = kept.supervisor._reaper._process  # noqa: SLF001  There is no other way to its number.
    assert reaper is not None
    reaper.kill()
    reaper.wait()
    kept.supervisor.tend()
    again = kept.supervisor._reaper._process  # noqa: SLF001
    assert again is not None
    assert again.poll() is None


# -- when the supervisor itself is killed ------------------------------------------------------------------

SUPERVISOR = """
import asyncio, sys
sys.path[:0] = [{root!r}, {here!r}]
from pathlib import Path
from test_supervisor import Kept, child, SILENT, SuperviseSettings
async def main():
    kept = Kept(Path(sys.argv[1]), SuperviseSettings())
    await kept.supervisor.start([child('a', SILENT), child('b', SILENT)])
    if sys.argv[2] == 'without':
        kept.supervisor._reaper._process.kill()
    print(kept.pid('a'), kept.pid('b'), flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def _killed_supervisor(data_dir: Path, reaper: str) -> list[int]:
    here = Path(__file__).parent
    code = SUPERVISOR.format(root=str(here.parents[2]), here=str(here))
    env = {**os.environ, "PYTHONPATH": str(here.parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(data_dir), reaper], stdout=subprocess.PIPE, text=True, env=env
    ) as supervisor:
        assert supervisor.stdout is not None
        pids = [int(pid) for pid in supervisor.stdout.readline().split()]
        assert [bool(started_at(pid)) for pid in pids] == [True, True]
        supervisor.kill()
    return pids


def test_children_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    pids = _killed_supervisor(tmp_path, "with reaper")
    until(lambda: not any(started_at(pid) for pid in pids), within_s=10)


def test_what_a_killed_supervisor_and_a_killed_reaper_left_behind_is_ended_by_the_next(
    tmp_path: Path,
) -> None:
    pids = _killed_supervisor(tmp_path, "without")
    assert [bool(started_at(pid)) for pid in pids] == [True, True]
    said: list[str] = []
    assert ChildrenFile(tmp_path / "run").stop_all(said.append) == 2
    assert not any(started_at(pid) for pid in pids)
    assert said[0] == f"stopping b (pid {pids[1]}), which an earlier `up` has left behind"


def test_a_stranger_who_was_given_the_number_of_a_child_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", STEADY]) as stranger:
        listed = f'[{{"name": "a", "pid": {stranger.pid}, "started": "another time"}}]'
        (tmp_path / "children.json").write_text(listed)
        assert ChildrenFile(tmp_path).stop_all(print) == 0
        assert stranger.poll() is None
        stranger.kill()
