"""Who is served when: a number of slots, and a bounded line before them: first come, first served.

A request that is cancelled leaves the line, or gives its slot to the next; no slot is ever lost or given
twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class QueueFull(Exception):
    """The line is as long as it may be."""


class Slots:
    """The slots of a node, and the line before them."""

    def __init__(self, slots: int, *, queue_max: int) -> None:
        self._slots = slots
        self._queue_max = queue_max
        self._line: deque[asyncio.Future[None]] = deque()
        self.busy = 0

    @property
    def waiting(self) -> int:
        """How many stand in the line."""
        return len(self._line)

    def __repr__(self) -> str:
        return f"<Slots {self.busy}/{self._slots} busy, {self.waiting}/{self._queue_max} waiting>"

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[int]:
        """Hold a slot; gives how many are busy then, this one included. Raises `QueueFull`."""
        await self._acquire()
        try:
            yield self.busy
        finally:
            self._release()

    async def _acquire(self) -> None:
        if self.busy < self._slots:
            self.busy += 1
            return
        if len(self._line) >= self._queue_max:
            raise QueueFull
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            self._leave(turn)
            raise

    def _leave(self, turn: asyncio.Future[None]) -> None:
        if turn in self._line:
            self._line.remove(turn)
        elif not turn.cancelled():
            # The slot was handed over in the same moment as we were cancelled: it goes to the next.
            self._release()

    def _release(self) -> None:
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                # The slot changes hands without becoming free, so nobody can slip in before the line.
                turn.set_result(None)
                return
        self.busy -= 1
