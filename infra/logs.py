"""The log of a process of ours: one line an event on stderr, libraries kept quiet, no content of events ever.

`up` puts each child's stderr into a rotated file. What is logged are codes, names and counts; whoever logs an
exception of a library logs its type, because its words may quote what it was given.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal

Level = Literal["debug", "info", "warning", "error"]

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
# Faust tells of each service that starts, aiokafka of each request: at most their warnings are for us.
_LIBRARIES = ("faust", "mode", "aiokafka", "asyncio", "httpx", "httpcore", "librdkafka")


def open_log(level: Level) -> None:
    """Log to stderr from here on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT))
    logging.getLogger().handlers = [handler]
    for name in _LIBRARIES:
        # A level of its own stays when ours changes; below it, records are not even made.
        logging.getLogger(name).setLevel(logging.WARNING)
    set_level(level)


def set_level(level: Level) -> None:
    """Log what is at least so severe."""
    logging.getLogger().setLevel(level.upper())
