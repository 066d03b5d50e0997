"""What a worker counts: each verdict, dead letter and error once, bounded, and for about a microsecond."""

from __future__ import annotations

import time
import timeit
from datetime import UTC, datetime

import msgspec
import pytest

from schemas.event import Source
from schemas.verdict import ModelRef, PolicyRef, Timing, Verdict
from streams.observing import Tally, WorkerStatus

EMPTY = WorkerStatus(worker="worker-1", pid=1, ready=True)


def verdict(**fields) -> Verdict:
    defaults = {
        "v": 1,
        "verdict_id": "0" * 32,
        "tenant": "default",
        "id": "post-1",
        "content_digest": "0" * 32,
        "kind": "moderate",
        "priority": "critical",
        "rev": 2,
        "status": "final",
        "action": "allow",
        "labels": (),
        "confidence": 0.9,
        "decided_by": "model",
        "reasons": (),
        "policy": PolicyRef(id="default", version=1, digest="0" * 32),
        "timing": Timing(kafka_ms=3.0, queue_ms=40.0, inference_ms=400.0, total_ms=443.0),
        "attempts": 1,
        "coverage": 1.0,
        "source": Source(topic="content.critical", partition=0, offset=0, timestamp_ms=0),
        "decided_at": datetime(2025, 1, 1, tzinfo=UTC),
        "model": ModelRef(name="m", node="node-a"),
    }
    return Verdict(**defaults | fields)


def test_verdicts_are_counted_by_priority_action_and_who_decided():
    tally = Tally()
    for _ in range(3):
        tally.verdict(verdict())
    tally.verdict(verdict(priority="low", action="block", decided_by="rule", model=None))

    status = tally.onto(EMPTY)

    assert {(c.priority, c.action, c.decided_by): c.count for c in status.verdicts} == {
        ("critical", "allow", "model"): 3,
        ("low", "block", "rule"): 1,
    }
    assert status.decided == {"model": 3, "rule": 1}
    assert repr(tally) == "<Tally 4 verdicts, 0 dead letters, 0 errors>"


def test_waits_are_counted_by_priority_and_inference_by_node():
    tally = Tally()
    tally.verdict(verdict())
    tally.verdict(verdict(decided_by="rule", model=None))
    # It names the model that had answered before, and took none of its time.
    tally.verdict(verdict(decided_by="cache"))

    status = tally.onto(EMPTY)

    [critical] = [waits for waits in status.waits if waits.priority == "critical"]
    assert (critical.kafka.count, critical.queue.count, critical.total.count) == (3, 3, 3)
    assert critical.kafka.sum_ms == 9.0
    assert critical.total.quantile(0.5) == pytest.approx(375.0, abs=125.0)
    [node] = status.inference
    assert (node.node, node.tier, node.took.count, node.took.sum_ms) == ("node-a", "default", 1, 400.0)


def test_dead_letters_are_counted_by_stage_and_by_code():
    tally = Tally()
    tally.dead_letter("triage", "malformed_payload")
    tally.dead_letter("judge", "node_bad_answer")
    tally.dead_letter("judge", "node_refused")

    status = tally.onto(EMPTY)

    assert status.dead_letters == 3
    assert status.dead_letters_by_stage == {"triage": 1, "judge": 2}
    assert status.dead_letters_by_code == {"malformed_payload": 1, "node_bad_answer": 1, "node_refused": 1}


def test_the_last_error_is_kept_and_is_short():
    tally = Tally()
    tally.error("first")
    tally.error("x" * 10_000)

    status = tally.onto(EMPTY)

    assert status.errors == 2
    assert status.last_error == "x" * 300


def test_what_is_counted_apart_is_bounded():
    tally = Tally()
    for number in range(2_000):
        tally.verdict(verdict(model=ModelRef(name="m", node=f"n{number}")))
        tally.dead_letter("judge", f"code{number}")

    status = tally.onto(EMPTY)

    assert len(status.inference) == 1_025
    assert len(status.dead_letters_by_code) == 1_025
    assert sum(node.took.count for node in status.inference) == 2_000
    assert sum(status.dead_letters_by_code.values()) == 2_000


def test_the_rest_of_the_status_is_left_as_it_was():
    status = Tally().onto(msgspec.structs.replace(EMPTY, ready=False, waits_for="no policy yet"))

    assert (status.worker, status.ready, status.waits_for) == ("worker-1", False, "no policy yet")


def test_a_status_survives_the_wire():
    tally = Tally()
    tally.verdict(verdict())
    status = tally.onto(EMPTY)

    assert msgspec.json.decode(msgspec.json.encode(status), type=WorkerStatus) == status


def test_a_verdict_costs_about_a_microsecond(record_property):
    """The budget is 2 us; of CPU time, and ten times as much, because the test shares its machine."""
    tally, one = Tally(), verdict()
    times = 5_000

    costs_s = timeit.repeat(lambda: tally.verdict(one), time.process_time, number=times, repeat=5)
    cost_us = min(costs_s) / times * 1e6

    record_property("verdict_us", round(cost_us, 2))
    assert cost_us < 20
