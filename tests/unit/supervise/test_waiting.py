"""What blocks is done beside the loop, can be walked away from, and gets a moment at the end."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from deadline import until

from infra.supervise.waiting import await_left_behind, beside


async def test_what_is_done_beside_gives_its_result_or_raises():
    assert await beside(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await beside(lambda: 1 // 0)


def test_what_was_walked_away_from_is_waited_for_but_not_long():
    may_end, begun, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(30)
        ended.set()

    async def walk_away() -> None:
        working = asyncio.ensure_future(beside(work))
        await asyncio.to_thread(begun.wait)
        working.cancel()
        await asyncio.wait({working})

    asyncio.run(walk_away())
    began = time.monotonic()
    await_left_behind(0.05)
    assert time.monotonic() - began < 5, "it still goes on, and nobody waits any longer"
    asyncio.run(walk_away())
    threading.Timer(0.1, may_end.set).start()
    await_left_behind(30)
    until(ended.is_set, within_s=5, what="both have ended")
