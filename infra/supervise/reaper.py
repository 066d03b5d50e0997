"""A small process that ends the children of `up` if `up` itself is killed. Standard library only, one file.

It reads its standard input: `+123` a child's process group began, `-123` it is gone. The pipe is closed when
`up` ends, however it ends; whoever is still listed then is asked to stop, and killed a little later.
"""

from __future__ import annotations

import os
import signal
import sys
import time

# Longer than a worker's drain (5 s), shorter than the patience of somebody who starts `up` anew.
_GRACE_S = 8.0


def main() -> None:
    """Keep the list until the pipe is closed, then end what is on it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, None] = {}
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            groups[group] = None
        else:
            groups.pop(group, None)
    # In the order opposite to that of starting: workers before the Kafka that they drain into.
    end([*reversed(groups)])


def end(groups: list[int]) -> None:
    """End process groups: SIGTERM, and after the grace SIGKILL."""
    left = [group for group in groups if _signal(group, signal.SIGTERM)]
    deadline = time.monotonic() + _GRACE_S
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [group for group in left if _signal(group, 0)]
    for group in left:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
