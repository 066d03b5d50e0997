"""Ends what still runs for a data directory: `up`, workers and a node started by hand, forgotten children.

`python -m infra.supervise.ending DIR …` is what `make reset` does before it deletes a directory. The embedded
Kafka that nobody's child is stays for `penstock kafka stop`.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from infra.errors import ExitCode, Failure
from infra.running import NODE, address_of
from infra.supervise.leftovers import ChildrenFile
from infra.supervise.lock import holder_of
from infra.supervise.processes import command_of, started_at

# `up` promises to be done within 10 s, and its children with it.
_STOP_WITHIN_S = 12.0
_ASK_EVERY_S = 0.05


def main(argv: Sequence[str]) -> int:
    """End what runs for each directory; 0 when nothing is left, 8 where something cannot be ended."""
    try:
        for word in argv:
            end_all(Path(word), _say)
    except Failure as failure:
        sys.stderr.write(f"penstock: {failure.sentence}\n")
        return failure.exit_code
    return ExitCode.OK


def end_all(data_dir: Path, tell: Callable[[str], None]) -> None:
    """End everything that runs for a data directory, `up` first: it ends its own children in order."""
    locks = sorted((data_dir / "run").glob("*.lock"), key=lambda path: (path.stem != "up", path.stem))
    for lock in locks:
        if pid := holder_of(data_dir, lock.stem):
            tell(f"Stopping {lock.stem} (pid {pid}) of {data_dir}")
            _end(pid, lock.stem)
    address = address_of(data_dir, NODE)
    # Its number alone may be a stranger's by now.
    if address is not None and " node" in command_of(address.pid):
        tell(f"Stopping the reference node (pid {address.pid}) of {data_dir}")
        _end(address.pid, NODE)
    ChildrenFile(data_dir / "run").stop_all(tell)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _end(pid: int, name: str) -> None:
    """SIGTERM, and SIGKILL to whoever is not done in its time."""
    began = started_at(pid)
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        except PermissionError:
            break
        deadline = time.monotonic() + _STOP_WITHIN_S
        while time.monotonic() < deadline:
            if started_at(pid) != began:
                return
            time.sleep(_ASK_EVERY_S)
    raise Failure(f"{name} (pid {pid}) cannot be ended by this user.", exit_code=ExitCode.TAKEN)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
