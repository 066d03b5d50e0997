"""How long the event loop is kept: the processor time of its thread from one turn to the next.

Not the time on the wall, so that a busy machine, which takes turns away from everybody, changes nothing. A
virtual one that is itself put aside for a moment counts that as the thread's, in some single slices; so what
is looked for must happen more often than that.
"""

from __future__ import annotations

import asyncio
import time

SLICE_MS_MAX = 5.0
PUT_ASIDE_MAX = 3


class Pulse:
    """Takes a turn in every round of the loop, and notes how much the round has cost."""

    def __init__(self) -> None:
        self._slices_ms: list[float] = []
        self._last_s = time.thread_time()
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_soon(self._beat)

    def _beat(self) -> None:
        now_s = time.thread_time()
        self._slices_ms.append((now_s - self._last_s) * 1_000)
        self._last_s = now_s
        self._handle = self._loop.call_soon(self._beat)

    def stop(self) -> list[float]:
        """Take no more turns; the longest slices, but for those in which the machine may have been away."""
        self._handle.cancel()
        longest = sorted(self._slices_ms, reverse=True)[PUT_ASIDE_MAX:]
        return longest[: PUT_ASIDE_MAX + 1]
