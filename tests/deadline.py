"""Waiting for a state instead of sleeping: every test that waits says for what, and for how long at most.

    until(lambda: node.is_up(), within_s=5)
    verdict = await eventually(lambda: store.get("post-1"), within_s=10)

Both give back what the predicate said, once it is true. The states waited for are on the other side of a
process or a thread, where there is nothing to subscribe to: so they are asked again every few milliseconds.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class DeadlineMissedError(AssertionError):
    """What was waited for has not come in time."""


def until(
    predicate: Callable[[], T], *, within_s: float, what: str | Callable[[], str] = "", every_s: float = 0.02
) -> T:
    """Ask until the answer is true; for tests without an event loop. `what` may be found out at the end."""
    deadline = time.monotonic() + within_s
    while not (answer := predicate()):
        if time.monotonic() >= deadline:
            raise _missed(predicate, what if isinstance(what, str) else what(), within_s, answer)
        time.sleep(every_s)
    return answer


async def eventually(
    predicate: Callable[[], T | Awaitable[T]], *, within_s: float, what: str = "", every_s: float = 0.02
) -> T:
    """Ask until the answer is true; for tests on an event loop. The predicate may be a coroutine function."""
    deadline = time.monotonic() + within_s
    while not (answer := await _answer(predicate)):
        if time.monotonic() >= deadline:
            raise _missed(predicate, what, within_s, answer)
        await asyncio.sleep(every_s)
    return answer


async def _answer(predicate: Callable[[], T | Awaitable[T]]) -> T:
    answer = predicate()
    return await answer if inspect.isawaitable(answer) else answer


def _missed(predicate: object, what: str, within_s: float, answer: object) -> DeadlineMissedError:
    name = what or getattr(predicate, "__name__", repr(predicate))
    return DeadlineMissedError(f"not within {within_s} s: {name} (the last answer was {answer!r})")
