"""What raises where nobody waits for it: in a callback of the event loop, as what follows a confirmation is.

asyncio would log it and go on, and a record that was to be settled there would hold its watermark for ever.
So the worker stops, and the record is delivered again. What is a library's own affair stays in the log.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import Any

from infra.errors import ExitCode, Failure

_OURS = frozenset({"agents", "infra", "schemas", "streams"})


def listen(loop: asyncio.AbstractEventLoop, stop: Callable[[BaseException], None]) -> None:
    """Stop for whatever comes out of a callback through code of ours."""

    def heard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        bug = context.get("exception")
        # A task or a future that nobody asked for its exception comes without a handle: somebody gave it up.
        place = _place_of(bug) if isinstance(bug, BaseException) and "handle" in context else ""
        if place:
            stop(_reason(bug, place))
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(heard)


def _reason(bug: object, place: str) -> Failure:
    """Its name only, because its words may quote content."""
    return Failure(
        f"{type(bug).__name__} at {place}, where nobody waits for it: a bug of ours. What was to be "
        "settled there is not, and will be delivered again",
        exit_code=ExitCode.UNEXPECTED,
    )


def _place_of(bug: BaseException) -> str:
    """Where it left our code for the last time; empty where it never was there."""
    for frame, line in reversed([*traceback.walk_tb(bug.__traceback__)]):
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] in _OURS:
            return f"{module}:{line}"
    return ""
