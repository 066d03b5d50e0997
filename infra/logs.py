"""The log of a process of ours: one line an event on stderr, libraries kept quiet, no content of events ever.

`up` puts each child's stderr into a rotated file. What is logged are codes, names and counts; whoever logs an
exception of a library logs its type, because its words may quote what it was given.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from typing import Literal

Level = Literal["debug", "info", "warning", "error"]

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
# Faust tells of each service that starts, aiokafka of each request: at most their warnings are for us.
_LIBRARIES = ("faust", "mode", "aiokafka", "asyncio", "httpx", "httpcore", "librdkafka")
# A broker that is away for ten minutes is worth a line now and then, not two in a second.
_REPEATED_AFTER_S = 30.0
_KINDS_MAX = 1_000


class Sparing(logging.Filter):
    """Of what a library says again and again about the same, one line in half a minute, with a count."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at_s: dict[tuple[object, ...], float] = {}
        self._left_out: Counter[tuple[object, ...]] = Counter()

    def __repr__(self) -> str:
        return f"<Sparing | {len(self._said_at_s)} kinds of lines>"

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to let it through."""
        if record.name.partition(".")[0] not in _LIBRARIES:
            return True
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


def open_log(level: Level) -> None:
    """Log to stderr from here on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT))
    handler.addFilter(Sparing())
    logging.getLogger().handlers = [handler]
    for name in _LIBRARIES:
        # A level of its own stays when ours changes; below it, records are not even made.
        logging.getLogger(name).setLevel(logging.WARNING)
    set_level(level)


def set_level(level: Level) -> None:
    """Log what is at least so severe."""
    logging.getLogger().setLevel(level.upper())
