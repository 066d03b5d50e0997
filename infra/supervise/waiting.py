"""Runs what blocks (Kafka's administration, a download) beside the event loop, and can walk away from it.

`asyncio.to_thread` cannot: at the end the loop waits for its threads, and a command that is told to stop
would wait with it for a broker that never answers. What was walked away from gets a moment at the very end:
Python ends such threads where they stand, and one that stands in C++ (a policy is being compiled) takes the
process along, with SIGABRT.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_left_behind: set[threading.Thread] = set()


async def beside(work: Callable[[], T]) -> T:
    """The result of `work`, done in a daemon thread; cancelled, it is left behind."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # Without an error there is a result.

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = work()
        except BaseException as raised:  # noqa: BLE001  Carried over to the one who awaits.
            error = raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            # The loop is closed: nobody waits any longer.
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        return await done
    except asyncio.CancelledError:
        _left_behind.add(thread)
        raise


def await_left_behind(within_s: float) -> None:
    """Wait for what was walked away from, but not long."""
    deadline = time.monotonic() + within_s
    while _left_behind:
        _left_behind.pop().join(max(0.0, deadline - time.monotonic()))
