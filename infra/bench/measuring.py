"""How a bench measures: rounds in which the sides take turns, CPU time per event, medians of the rounds.

Taking turns, a busy neighbour slows all sides alike; and of CPU time, unlike wall time, it takes nothing. The
time is that of all threads of this process; a broker's process is not in it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from statistics import median

Timed = Callable[[], int]
"""What is measured; returns how many events it went through."""
Prepare = Callable[[], Timed]
"""Makes a round ready, unmeasured."""


def cpu_us_per_event(sides: Mapping[str, Prepare], *, rounds: int) -> dict[str, float]:
    """The CPU time of each side per event, in microseconds: the median of its rounds."""
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, prepare in sides.items():
            figures[name].append(_one_round(name, prepare))
    return {name: median(found) for name, found in figures.items()}


def _one_round(name: str, prepare: Prepare) -> float:
    timed = prepare()
    # What earlier rounds left behind is not this round's cost.
    gc.collect()
    began_ns = time.process_time_ns()
    events = timed()
    spent_ns = time.process_time_ns() - began_ns
    if not events:
        raise AssertionError(f"{name} went through nothing, so there is nothing to divide by")
    return spent_ns / 1_000 / events
