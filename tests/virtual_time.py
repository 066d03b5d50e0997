"""Time that passes only when everybody waits: a second in a test takes no second, and ends when it should.

    def test_…():
        assert run(scenario()) == …

`run` is `asyncio.run` on a loop whose timers go off in their order, at once, at their exact times. Where all
tasks wait for something that no timer brings, it raises `Standstill` instead of hanging. Only for coroutines
that touch no socket, thread or process.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar

from infra.bench.virtual import Standstill, VirtualLoop

__all__ = ["LoopClock", "Standstill", "now_ms", "reaches", "run", "virtual"]

T = TypeVar("T")


class LoopClock:
    """The `Clock` that shows a virtual loop's time."""

    def __init__(self, *, wall_ms: int = 1_700_000_000_000) -> None:
        self._wall_ms = wall_ms

    def now_ms(self) -> float:
        return now_ms()

    def wall_ms(self) -> int:
        return int(self._wall_ms + now_ms())


def run(scenario: Coroutine[Any, Any, T]) -> T:
    """Run a scenario to its end."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(scenario)


def virtual(scenario: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make a test of a scenario, with its parameters; pytest sees a function that is no coroutine."""

    @wraps(scenario)
    def test(**given: Any) -> None:
        run(scenario(**given))

    # Without it pytest would look through the wrapper, and run the coroutine itself.
    test.__signature__ = inspect.signature(scenario)  # type: ignore[attr-defined]
    del test.__wrapped__  # type: ignore[attr-defined]
    return test


def now_ms() -> float:
    """Tell the running loop's time."""
    return asyncio.get_running_loop().time() * 1_000


async def reaches(predicate: Callable[[], object]) -> None:
    """Let time pass until something holds, an hour at most."""
    deadline_ms = now_ms() + 3_600_000
    while not predicate():
        assert now_ms() < deadline_ms, "an hour has passed in vain"
        await asyncio.sleep(0.001)
