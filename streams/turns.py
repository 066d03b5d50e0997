"""Doing something with many things, some in each turn of the event loop: nobody keeps it for long."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

AT_ONCE = 500
"""Giving a record up takes one to three microseconds, so this takes about a millisecond."""


class ByAndBy(Generic[T]):
    """Acts on whatever it is given, in its order: on the first at once, on the others in later turns."""

    def __init__(self, act: Callable[[T], None], *, at_once: int = AT_ONCE) -> None:
        self._act = act
        self._at_once = at_once
        self._left: deque[T] = deque()
        self._is_going_on = False

    def __repr__(self) -> str:
        return f"<ByAndBy {len(self._left)} left>"

    def __len__(self) -> int:
        return len(self._left)

    def add(self, items: Iterable[T]) -> None:
        """Act on these, too."""
        self._left.extend(items)
        if not self._is_going_on:
            self._some()

    async def finish(self) -> None:
        """Return when all is done."""
        while self._left:  # noqa: ASYNC110 - it takes a few turns, and nobody else waits for them
            await asyncio.sleep(0)

    def _some(self) -> None:
        # Whoever is acted on may bring more: it comes after what is there.
        self._is_going_on = True
        try:
            for _ in range(self._at_once):
                if not self._left:
                    break
                self._act(self._left.popleft())
        finally:
            self._is_going_on = bool(self._left)
            if self._is_going_on:
                asyncio.get_running_loop().call_soon(self._some)
