"""What `penstock status` tells, as plain values: workers by their own words, lag by Kafka's.

The same picture is printed for a person and given as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from infra.clients import reach
from infra.counting import counted
from infra.errors import Failure
from infra.lag import Lag, lags
from infra.running import NODE, address_of, worker_statuses
from infra.terminal import safe, visible
from schemas.settings import Settings
from streams.observing import NodeStatus, StageStatus, WorkerStatus

# For a person who waits; a broker on its way up is told of as such.
_REACH_WITHIN_S = 3.0


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """How everything stands, at one moment."""

    data_dir: str
    kafka: str = ""
    """Its address; empty where nobody answers."""
    kafka_problem: str = ""
    node: str = ""
    """The address of this data directory's node, if it runs …"""
    node_is: str = ""
    """… and which it is: the reference node, or a model."""
    lag: tuple[Lag, ...] = ()
    workers: dict[str, WorkerStatus | None] = {}
    """None: it runs, and does not answer."""

    @property
    def is_running(self) -> bool:
        """Whether any worker runs."""
        return bool(self.workers)


def look(settings: Settings) -> Picture:
    """Ask Kafka and everybody who runs for this data directory."""
    data_dir = Path(settings.data_dir)
    kafka, problem, lag = "", "", []
    try:
        cluster = reach(settings, within_s=_REACH_WITHIN_S)
        kafka, lag = cluster.bootstrap, lags(settings, cluster)
    except Failure as failure:
        problem = failure.sentence
    node = address_of(data_dir, NODE)
    return Picture(
        data_dir=settings.data_dir,
        kafka=kafka,
        kafka_problem=problem,
        node=node.url if node else "",
        node_is=node.node if node else "",
        lag=tuple(lag),
        workers=worker_statuses(data_dir),
    )


def told(picture: Picture) -> Iterator[str]:
    """The picture for a person, line by line."""
    yield f"kafka     {picture.kafka or 'not reached'}"
    if picture.node:
        yield f"node      {picture.node} ({picture.node_is})"
    for one in picture.lag:
        if one.records:
            yield f"lag       {one.topic}: {counted(one.records, 'record')} before {one.stage}"
    if picture.lag and not any(one.records for one in picture.lag):
        yield "lag       none"
    for name, worker in picture.workers.items():
        if worker is None:
            yield f"{name:<9} runs, and does not answer"
        else:
            yield from _of_worker(name, worker)


def _of_worker(name: str, worker: WorkerStatus) -> Iterator[str]:
    state = "ready" if worker.ready else f"not ready: {visible(worker.waits_for).rstrip('.') or 'starting'}"
    decided = ", ".join(f"{who} {count}" for who, count in sorted(worker.decided.items())) or "none yet"
    yield f"{name:<9} {state}, pid {worker.pid}; verdicts: {decided}; dead letters: {worker.dead_letters}"
    for stage in worker.stages:
        yield f"  {_stage(stage)}"
    for lane in worker.lanes:
        if lane.waiting or lane.in_flight:
            yield (
                f"  lane {lane.priority}: {lane.waiting} waiting, {lane.in_flight} in flight, oldest "
                f"{lane.oldest_ms / 1_000:.1f} s"
            )
    yield from (f"  {line}" for line in map(node_line, worker.nodes))
    for policy in worker.policies:
        yield f"  policy {safe(policy.id)} version {policy.version} ({policy.digest})"
    if not worker.enforce:
        yield "  enforce is off: every block becomes a review"
    if worker.paused:
        yield f"  paused: {', '.join(worker.paused)}"
    if worker.last_error:
        yield f"  last error: {visible(worker.last_error)}"


def node_line(node: NodeStatus) -> str:
    """A node as one worker sees it."""
    error = f", last error {visible(node.last_error)}" if node.last_error else ""
    failed = f", {node.failed} failed" if node.failed else ""
    at_once = f" (now {node.limit} at once)" if 0 < node.limit < node.slots else ""
    return (
        f"node {safe(node.name)}: {node.state}, {node.in_flight} of {node.slots} slots{at_once}, "
        f"{node.answered} answered{failed}{error}"
    )


def _stage(stage: StageStatus) -> str:
    partitions = stage.partitions
    held = sum(partition.held for partition in partitions)
    oldest_ms = max((partition.oldest_ms for partition in partitions), default=0.0)
    age, lag = f"{oldest_ms / 1_000:.1f} s old", str(sum(partition.lag for partition in partitions))
    if stage.is_away:
        # How far the topics go by now, nobody knows.
        age, lag = age if oldest_ms else "?", "?"
    return (
        f"{stage.stage}: {counted(len(partitions), 'partition')}{f' ({held} held)' if held else ''}, "
        f"{stage.settled} settled, {sum(partition.unsettled for partition in partitions)} unsettled, "
        f"watermark {age}, lag {lag}" + "".join(f", {what}" for what, count in _rarities(stage) if count)
    )


def _rarities(stage: StageStatus) -> tuple[tuple[str, int], ...]:
    """What is worth a word only where it has happened."""
    return (
        (f"{stage.redelivered} redelivered", stage.redelivered),
        (f"{counted(stage.commit_failures, 'commit')} failed", stage.commit_failures),
        (f"{counted(stage.failures, 'failure')} of the stage itself", stage.failures),
        (f"{counted(stage.condemned, 'record')} condemned for them", stage.condemned),
        (f"{counted(stage.missed, 'record')} deleted before anybody read them", stage.missed),
    )
