"""The log: our lines on stderr at the level that is set, and of libraries their warnings only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import logging
from infra.logs import open_log, set_level
open_log("warning")
logging.getLogger("penstock.worker").info("not yet")
set_level("info")
logging.getLogger("penstock.worker").info("now %s", 17)
logging.getLogger("aiokafka.consumer").info("a library's chatter")
logging.getLogger("faust.app").debug("a library's chatter")
logging.getLogger("mode.services").warning("a library's warning")
"""


def test_our_lines_appear_at_their_level_and_of_libraries_only_warnings() -> None:
    # In a process of its own, because the log belongs to a process.
    said = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert said.stdout == ""
    lines = [line.split(" ", 2)[2] for line in said.stderr.splitlines()]
    assert lines == ["INFO    penstock.worker: now 17", "WARNING mode.services: a library's warning"]
