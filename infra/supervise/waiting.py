"""Runs what blocks (Kafka's administration, a download) beside the event loop, and can walk away from it.

`asyncio.to_thread` cannot: at the end the loop waits for its threads, and a command that is told to stop
would wait with it for a broker that never answers.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


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

    threading.Thread(target=run, daemon=True).start()
    return await done
