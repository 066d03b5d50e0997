"""Nodes are killed, frozen, made to refuse, to lie and to break off, under a worker on a real Kafka.

Nothing is lost, everybody gets exactly one effective verdict, a death costs no more attempts than it must,
and after an outage of all nodes the critical ones are first. The counts are the worker's own.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from chaos.copies import Post, PostFeeder, as_event
from chaos.nodes import NodeProcess
from chaos.trial import FULL, Size
from deadline import until
from penstocks import Penstock

from infra.clients import Writer, reach
from infra.embedded import EmbeddedKafka
from infra.running import worker_statuses
from schemas.effective import EffectiveVerdicts
from schemas.verdict import Verdict
from streams.observing import LaneStatus, NodeStatus, WorkerStatus

WORKER = "worker-1"
SLOTS = 4
ALPHA_MS = 50
NAMES = ("a", "b", "c")
NOWHERE = "nowhere"
"""A fourth one whose host has no address: asked for once, and out for good."""
POOL = SLOTS * len(NAMES)
"""Slots of all nodes."""
# What is on the way to a dead node is lost, and three more until nobody is sent there any more.
BESIDE_THOSE_IN_FLIGHT = 3
# Shorter than by default, so that a frozen node is found out soon.
TIMEOUT_MS = 2_000
CRITICAL = 40
BURST = 150


class _Size(NamedTuple):
    """How much a trial is."""

    rounds: int
    away_s: float
    """For how long all nodes are down."""


SIZES = {False: _Size(1, 2.0), True: _Size(6, 60.0)}
RATE_PER_S = 60.0
# More than there will be time for: they come in for as long as things go wrong.
EVENTS_MAX = 200_000


class Ward:
    """A worker, three nodes, and what the worker says of them."""

    def __init__(self, penstock: Penstock, nodes: dict[str, NodeProcess]) -> None:
        self.penstock = penstock
        self.nodes = nodes

    def status(self, name: str) -> NodeStatus:
        return next(node for node in self._worker().nodes if node.name == name)

    def lane(self, priority: str) -> LaneStatus:
        return next(lane for lane in self._worker().lanes if lane.priority == priority)

    def _worker(self) -> WorkerStatus:
        self.penstock.check()
        status = until(
            lambda: worker_statuses(self.penstock.data_dir).get(WORKER),
            within_s=20,
            what="the worker tells how it is",
        )
        assert status
        return status

    def await_state(self, name: str, *states: str) -> None:
        until(lambda: self.status(name).state in states, within_s=30, what=f"node {name} is {states}")

    def await_count(self, name: str, what: str, more: int) -> None:
        """Wait until so many more of something happened to a node."""
        before = getattr(self.status(name), what)
        until(
            lambda: getattr(self.status(name), what) >= before + more,
            within_s=30,
            what=f"{more} more {what} at {name}",
        )

    def again(self, name: str, *faults: str) -> None:
        """Start a node that was killed."""
        self.nodes[name].start(*faults)
        self.nodes[name].await_listening()

    def replace(self, name: str, *faults: str) -> None:
        self.nodes[name].kill()
        self.again(name, *faults)


@pytest.fixture
def ward(broker: EmbeddedKafka, topics_prefix: str, tmp_path: Path) -> Iterator[Ward]:
    with ExitStack() as opened:
        nodes = {
            name: opened.enter_context(NodeProcess(tmp_path / name, slots=SLOTS, alpha_ms=ALPHA_MS))
            for name in NAMES
        }
        for node in nodes.values():
            node.start()
        terms = f"slots={SLOTS}&timeout_ms={TIMEOUT_MS}"
        urls = {name: node.url for name, node in nodes.items()} | {NOWHERE: "http://nowhere.invalid"}
        addresses = ",".join(f"penstock+{url}?name={name}&{terms}" for name, url in urls.items())
        penstock = opened.enter_context(
            Penstock(
                tmp_path, broker.bootstrap, topics_prefix, "judge.probe_interval_ms=200", nodes=addresses
            )
        )
        for node in nodes.values():
            node.await_listening()
        penstock.start(WORKER)
        penstock.await_ready(WORKER)
        yield Ward(penstock, nodes)


def test_nodes_are_killed_frozen_and_fail_in_every_way(
    ward: Ward, broker: EmbeddedKafka, size: Size, tell: Callable[[str], None]
) -> None:
    trial = SIZES[size is FULL]
    events = [Post(f"post-{number}", f"a letter about {number} things") for number in range(EVENTS_MAX)]
    asked: list[Post] = []
    deaths: list[tuple[int, int]] = []
    with PostFeeder(broker.bootstrap, ward.penstock.prefix, events, RATE_PER_S) as feeder:
        _drained(ward)
        for number in range(trial.rounds):
            if number:
                _all_well(ward)
            burst = [
                Post(f"burst-{number}-{at}", f"{at} letters in haste, by {number}") for at in range(BURST)
            ]
            deaths.append(_killed(ward, burst))
            asked += burst
            _storm(ward)
            _hung(ward)
            _garbage(ward)
            _broken_off(ward)
        urgent, back_at_ms = _all_down(ward, trial.away_s)
    asked += [*events[: feeder.produced], *urgent]
    verdicts = ward.penstock.await_verdicts([post.id for post in asked], within_s=120)
    passed_by = _passed_by(verdicts, urgent, back_at_ms)
    tell(
        f"nodes: {len(verdicts)} events; failed attempts and in flight at each death: {deaths}; "
        f"after {trial.away_s:g} s without nodes {passed_by} others were before the last critical one"
    )
    assert {verdict.decided_by for verdict in verdicts.values()} == {"model"}
    assert ward.penstock.end("dead-letters") == 0
    _assert_one_effective_verdict_each(ward.penstock, set(verdicts))
    assert all(failed <= in_flight + BESIDE_THOSE_IN_FLIGHT for failed, in_flight in deaths), deaths
    assert passed_by <= POOL
    nowhere = ward.status(NOWHERE)
    assert (nowhere.state, nowhere.answered) == ("out", 0)
    assert nowhere.failed <= BESIDE_THOSE_IN_FLIGHT + SLOTS


def _all_well(ward: Ward) -> None:
    for name in NAMES:
        ward.replace(name)
    for name in NAMES:
        ward.await_state(name, "up")


def _drained(ward: Ward) -> None:
    """A node is taken out of use for maintenance, and comes back; nothing fails for it."""
    ward.await_count("b", "answered", 5)
    ward.penstock.command("nodes", "drain", "b")
    ward.await_state("b", "drained")
    before = ward.status("b")
    ward.await_count("a", "answered", 20)
    assert "node b: drained" in ward.penstock.command("nodes", "list")
    assert ward.status("b").answered == before.answered
    ward.penstock.command("nodes", "resume", "b")
    ward.await_count("b", "answered", 5)
    assert ward.status("b").failed == 0


def _killed(ward: Ward, burst: list[Post]) -> tuple[int, int]:
    """A node dies at its busiest; how many attempts failed for it, and how many were there."""
    _send(ward.penstock, "low", burst)
    until(lambda: ward.lane("low").waiting, within_s=20, what="more are there than slots")
    ward.nodes["a"].freeze()
    before = until(lambda: _if_full(ward.status("a")), within_s=20, what="every slot of the node is taken")
    assert before
    ward.nodes["a"].kill()
    ward.await_state("a", "out")
    ward.await_count("b", "answered", 50)
    return ward.status("a").failed - before.failed, before.in_flight


def _if_full(node: NodeStatus) -> NodeStatus | None:
    return node if node.in_flight == node.limit else None


def _storm(ward: Ward) -> None:
    """It comes back, refuses half of what it gets, and takes ten times as long for the rest."""
    ward.again("a", "status_503=0.3", "status_429=0.2", f"delay_{9 * ALPHA_MS}=0.5")
    ward.await_count("a", "refused", 2)
    ward.await_count("a", "answered", 1)


def _hung(ward: Ward) -> None:
    ward.nodes["b"].freeze()
    ward.await_state("b", "out")
    ward.nodes["b"].thaw()
    ward.await_state("b", "up")


def _garbage(ward: Ward) -> None:
    """Another comes back as one that lies: its first question shows that."""
    ward.replace("c", "not_json=0.4", "truncated=0.3", "unknown_label=0.3")
    ward.await_count("c", "failed", 1)
    ward.await_state("c", "out")


def _broken_off(ward: Ward) -> None:
    """And the last as one that breaks off."""
    ward.replace("b", "drop_midway=0.5", "drop=0.5")
    ward.await_count("b", "failed", 1)
    ward.await_state("b", "out")


def _all_down(ward: Ward, away_s: float) -> tuple[list[Post], float]:
    """Nobody answers for a while; then critical ones come, and the nodes are back. Who came, and when."""
    for node in ward.nodes.values():
        node.kill()
    for name in NAMES:
        ward.await_state(name, "out")
    down_at = time.monotonic()
    urgent = [Post(f"urgent-{at}", f"an urgent letter about {at} things") for at in range(CRITICAL)]
    _send(ward.penstock, "critical", urgent)
    until(
        lambda: ward.lane("critical").waiting >= CRITICAL and time.monotonic() - down_at >= away_s,
        within_s=away_s + 30,
        what="the critical ones wait",
    )
    back_at_ms = time.time() * 1_000
    for node in ward.nodes.values():
        node.start()
    for node in ward.nodes.values():
        node.await_listening()
    return urgent, back_at_ms


def _send(penstock: Penstock, priority: str, some: list[Post]) -> None:
    writer = Writer(penstock.settings, reach(penstock.settings))
    for post in some:
        writer.write(
            f"{penstock.prefix}content.{priority}", post.id.encode(), json.dumps(as_event(post)).encode()
        )
    writer.flush()


def _passed_by(verdicts: dict[str, Verdict], urgent: list[Post], back_at_ms: float) -> int:
    """How many others were answered between the nodes' return and the last critical one."""
    last = max(verdicts[post.id].decided_at for post in urgent)
    chosen = {post.id for post in urgent}
    return sum(
        back_at_ms < verdict.decided_at.timestamp() * 1_000 and verdict.decided_at < last
        for id_, verdict in verdicts.items()
        if id_ not in chosen
    )


def _assert_one_effective_verdict_each(penstock: Penstock, ids: set[str]) -> None:
    effective = EffectiveVerdicts(keys_max=2 * len(ids))
    counted = Counter(verdict.id for verdict in penstock.verdicts() if effective.add(verdict))
    assert set(counted) == ids
    assert set(counted.values()) == {1}
