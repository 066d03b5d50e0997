"""A loop whose time passes only when everybody waits: a minute of a simulation costs what is done in it.

What is measured on it is the order and the number of things, exactly and the same on every machine; what the
doing costs is measured elsewhere. Only for coroutines that touch no socket, thread or process.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# Some moment that is not 0, so that nobody takes it for one.
_BEGAN_S = 1_000.0
_WALL_MS = 1_700_000_000_000


class Standstill(AssertionError):
    """Everybody waits, and nothing will ever happen."""


class _Selector(selectors.DefaultSelector):
    """Instead of waiting for the network it moves the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = _BEGAN_S

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise Standstill("every task waits, and no timer is set")
        self.now_s += 0 if ready else max(0.0, timeout or 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with its own time."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """The loop's own time, in seconds."""
        return self._virtual.now_s


class VirtualClock:
    """The `Clock` that shows the running loop's time."""

    def now_ms(self) -> float:
        return asyncio.get_running_loop().time() * 1_000

    def wall_ms(self) -> int:
        return int(_WALL_MS + self.now_ms())


def simulate(scenario: Coroutine[Any, Any, T]) -> T:
    """Run a scenario to its end."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(scenario)
