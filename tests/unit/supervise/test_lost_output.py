"""Nobody reads what `up` shows, or it cannot be written: showing never fails, and no child is left."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from deadline import until

from infra.supervise.processes import started_at
from infra.supervise.screen import Screen
from streams.clock import ManualClock

HERE = Path(__file__).parent


class FakeBroken(io.StringIO):
    """An output whose writing fails."""

    def __init__(self, error: OSError | None) -> None:
        super().__init__()
        self.error = error

    def flush(self) -> None:
        if self.error:
            raise self.error


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO])
def test_a_reader_that_is_gone_is_noticed_and_nothing_fails(number: int) -> None:
    out = FakeBroken(OSError(number, "gone"))
    screen = Screen(out, ManualClock())
    assert not screen.is_reader_gone
    screen.say("one")
    assert screen.is_reader_gone
    screen.status("two")
    screen.stream("three")
    screen.close()
    assert out.getvalue() == "one\n"


def test_a_really_closed_terminal_is_a_reader_that_is_gone() -> None:
    terminal, side = os.openpty()
    out = os.fdopen(side, "w", encoding="utf-8")
    screen = Screen(out, ManualClock())
    screen.status("how it stands")
    os.close(terminal)
    screen.say("one")
    assert screen.is_reader_gone
    # What it still holds has nowhere to go.
    with contextlib.suppress(OSError):
        out.close()


def test_an_output_closed_on_our_side_is_a_reader_that_is_gone() -> None:
    out = io.StringIO()
    screen = Screen(out, ManualClock())
    out.close()
    screen.say("one")
    assert screen.is_reader_gone


def test_a_full_disk_is_outlived() -> None:
    out = FakeBroken(OSError(errno.ENOSPC, "full"))
    screen = Screen(out, ManualClock())
    screen.say("one")
    assert not screen.is_reader_gone
    out.error = None
    screen.say("two")
    assert "two" in out.getvalue()


FAILS = """
import asyncio, sys
sys.path[:0] = [{root!r}, {here!r}]
from pathlib import Path
from test_supervisor import Kept, child, STEADY, SuperviseSettings
async def main():
    kept = Kept(Path(sys.argv[1]), SuperviseSettings())
    await kept.supervisor.start([child('a', STEADY), child('b', STEADY)])
    print(kept.pid('a'), kept.pid('b'), flush=True)
    if sys.argv[2] == 'suspended':
        kept.supervisor.children['a'].kill = kept.supervisor.children['b'].kill = lambda: None
    raise SystemExit(3)
asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["orderly", "suspended"])
def test_children_do_not_outlive_a_supervisor_that_failed_before_it_stopped_them(
    tmp_path: Path, how: str
) -> None:
    """In the second case the supervisor cannot kill, and the reaper does."""
    code = FAILS.format(root=str(HERE.parents[2]), here=str(HERE))
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), how],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
    )
    assert done.returncode == 3, done.stderr
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    until(lambda: not any(map(started_at, pids)), within_s=15, what="both children are ended")
