"""The bench of the memory, small: every section finds all that it wrote, and holds it to its targets."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.bench.engine_suite.arena import Arena
from infra.bench.engine_suite.effort import Effort
from infra.bench.memory_suite import bounded, cost, restoring

SMALL = Effort(rounds=1, events=2_000, soak_events=5_000)


@pytest.fixture
def arena(kafka: str, topics_prefix: str, tmp_path: Path) -> Arena:
    return Arena(kafka, tmp_path, (), prefix=topics_prefix)


def test_all_sides_hold_the_same_and_every_demand_has_its_target(arena: Arena):
    findings = {one.what: one for one in cost.run(arena, SMALL)}
    assert findings["entries held"].ours == SMALL.events
    assert findings["entries held before the puts"].ours == SMALL.events
    held = {what: one.target for what, one in findings.items() if one.target is not None}
    assert held == {"hit in process": 3.0, "hit on disk": 15.0, "put with changelog record": 20.0}


def test_a_restore_reads_all_and_is_held_to_a_plain_consumer(arena: Arena):
    beside, alone = restoring.run(arena, SMALL)
    assert beside.ours == alone.ours > 0
    assert alone.target == min(100_000, beside.peer / 2)
    assert alone.bound == "at least"


def test_memory_is_looked_at_while_digests_go_by(arena: Arena):
    findings = {one.what: one for one in bounded.run(arena, SMALL)}
    assert findings["memos held at the end"].ours == SMALL.soak_events
    assert findings["resident at the end, beside SQLite"].ours > 10
    assert findings["the same in SQLite's file"].ours == SMALL.soak_events
    assert findings["most on disk"].is_met
