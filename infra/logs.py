"""The log of a process of ours: one line an event on stderr, libraries kept quiet, no content of events ever.

`up` puts each child's stderr into a rotated file. What is logged are codes, names and counts; whoever logs an
exception of a library logs its type, because its words may quote what it was given.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable
from typing import Literal

Level = Literal["debug", "info", "warning", "error"]

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
# Faust tells of each service that starts, aiokafka of each request: at most their warnings are for us.
_LIBRARIES = ("faust", "mode", "aiokafka", "asyncio", "httpx", "httpcore", "librdkafka")
# A broker that is away for ten minutes is worth a line now and then, not two in a second.
_REPEATED_AFTER_S = 30.0
_KINDS_MAX = 1_000
# What of ours speaks of every try while a broker is away.
_TRYING = ("streams.broadcast", "streams.fetching", "streams.transport")
# How mode tells of a service that ends.
_CRASHED = "Crashed reason=%r"


class Sparing(logging.Filter):
    """Of what is said again and again about the same, one line in half a minute, with a count.

    Of a request to Kafka that nobody waits for any more, a line instead of a traceback. Of the end of a
    service nothing, where the process's last line says why.
    """

    def __init__(self, is_told: Callable[[BaseException], bool] = lambda _: False) -> None:
        super().__init__()
        self._is_told = is_told
        self._said_at_s: dict[tuple[object, ...], float] = {}
        self._left_out: Counter[tuple[object, ...]] = Counter()

    def __repr__(self) -> str:
        return f"<Sparing | {len(self._said_at_s)} kinds of lines>"

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to let it through."""
        if self._is_crash_told(record):
            return False
        if record.name.partition(".")[0] not in _LIBRARIES and record.name not in _TRYING:
            return True
        _shorten(record)
        # aiokafka's first argument is the node, librdkafka's the kind of trouble.
        about = record.args[0] if isinstance(record.args, tuple) and record.args else ""
        kind = (record.name, record.levelno, record.msg, str(about))
        if record.created < self._said_at_s.get(kind, 0.0) + _REPEATED_AFTER_S:
            self._left_out[kind] += 1
            return False
        if len(self._said_at_s) >= _KINDS_MAX:
            self._said_at_s.clear()
            self._left_out.clear()
        self._said_at_s[kind] = record.created
        if left_out := self._left_out.pop(kind, 0):
            record.msg, record.args = f"{record.getMessage()} ({left_out} more like it)", ()
        return True

    def _is_crash_told(self, record: logging.LogRecord) -> bool:
        if not (isinstance(record.msg, str) and record.msg.endswith(_CRASHED) and record.args):
            return False
        reason = record.args[0] if isinstance(record.args, tuple) else None
        return isinstance(reason, BaseException) and self._is_told(reason)


def _shorten(record: logging.LogRecord) -> None:
    """What asyncio says of an error of Kafka's that nobody retrieved: that of a commit that was given up."""
    trouble = record.exc_info[1] if record.exc_info else None
    if record.name == "asyncio" and trouble is not None and _is_kafkas(trouble):
        record.msg = "a request to Kafka that nobody waits for any more has failed: %s"
        record.args, record.exc_info, record.exc_text = (type(trouble).__name__,), None, None


def _is_kafkas(trouble: BaseException) -> bool:
    # By name: most processes that log never load aiokafka.
    return any(kind.__module__ == "aiokafka.errors" for kind in type(trouble).__mro__)


def open_log(level: Level, is_told: Callable[[BaseException], bool] = lambda _: False) -> None:
    """Log to stderr from here on; `is_told` says of which reasons to end the last line tells enough."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT))
    handler.addFilter(Sparing(is_told))
    logging.getLogger().handlers = [handler]
    for name in _LIBRARIES:
        # A level of its own stays when ours changes; below it, records are not even made.
        logging.getLogger(name).setLevel(logging.WARNING)
    set_level(level)


def set_level(level: Level) -> None:
    """Log what is at least so severe."""
    logging.getLogger().setLevel(level.upper())
