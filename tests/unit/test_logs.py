"""The log: our lines on stderr at the level that is set, and of libraries their warnings only."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka.errors import NodeNotReadyError

from infra.logs import Sparing

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


def said(name: str, message: str, *args: object, at_s: float = 0.0) -> logging.LogRecord:
    record = logging.LogRecord(name, logging.ERROR, "", 0, message, args, None)
    record.created = 1_000.0 + at_s
    return record


def test_a_library_that_repeats_itself_is_heard_twice_a_minute_with_a_count() -> None:
    sparing = Sparing()
    spoken = [said("librdkafka", "%s [%s] %s", "FAIL", "p", f"after {at} ms", at_s=at) for at in range(61)]

    heard = [record.getMessage() for record in spoken if sparing.filter(record)]

    assert heard == [
        "FAIL [p] after 0 ms",
        "FAIL [p] after 30 ms (29 more like it)",
        "FAIL [p] after 60 ms (29 more like it)",
    ]


def test_another_kind_of_trouble_another_node_and_our_own_lines_are_always_heard() -> None:
    sparing = Sparing()
    spoken = [
        said("librdkafka", "%s [%s] %s", "FAIL", "p", ""),
        said("librdkafka", "%s [%s] %s", "GETPID", "p", ""),
        said("aiokafka", "no connection to %s: %s", 1, "refused"),
        said("aiokafka", "no connection to %s: %s", 2, "refused"),
        said("aiokafka", "something else"),
        *[said("penstock.worker", "the same")] * 3,
    ]
    assert all(sparing.filter(record) for record in spoken)
    assert not sparing.filter(said("aiokafka", "no connection to %s: %s", 1, "gone"))


def test_the_kinds_that_are_remembered_are_bounded() -> None:
    sparing = Sparing()
    assert all(sparing.filter(said("aiokafka", "%s", number)) for number in range(2_500))
    assert repr(sparing) == "<Sparing | 500 kinds of lines>"


def unretrieved(trouble: Exception, *, at_s: float) -> logging.LogRecord:
    record = said("asyncio", f"Task exception was never retrieved\nfuture: <Task-{at_s}>", at_s=at_s)
    record.exc_info = (type(trouble), trouble, None)
    return record


def test_what_kafka_did_to_requests_that_nobody_waits_for_is_a_line_now_and_then() -> None:
    sparing = Sparing()
    spoken = [unretrieved(NodeNotReadyError(), at_s=at) for at in range(31)]
    heard = [record for record in spoken if sparing.filter(record)]
    line = "a request to Kafka that nobody waits for any more has failed: NodeNotReadyError"
    assert [record.getMessage() for record in heard] == [line, f"{line} (29 more like it)"]
    assert not any(record.exc_info for record in heard)


def test_a_bug_that_nobody_retrieved_keeps_its_traceback() -> None:
    record = unretrieved(ValueError(), at_s=0)
    assert Sparing().filter(record)
    assert record.exc_info


def test_our_own_line_of_a_commit_is_thinned_as_well() -> None:
    sparing = Sparing()
    line = "[^--Thread]: a commit was not answered in %g s, it will be repeated"
    heard = [sparing.filter(said("streams.fetching", line, 5.0, at_s=at)) for at in range(0, 60, 2)]
    assert sum(heard) == 2


@pytest.mark.parametrize(("reason", "is_heard"), [(NodeNotReadyError(), False), (ValueError(), True)])
def test_of_the_end_of_a_service_nothing_is_said_where_the_last_line_says_why(
    reason: Exception, is_heard: bool
) -> None:
    sparing = Sparing(lambda reason: isinstance(reason, NodeNotReadyError))
    assert sparing.filter(said("faust.app.base", "[^App]: Crashed reason=%r", reason)) == is_heard
    assert sparing.filter(said("streams.transport", "[^--T]: Crashed reason=%r", reason)) == is_heard
