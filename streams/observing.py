"""What a worker says of itself: one state object, printed by `status`, the console, logs and tests alike.

The stages fill it from outside of their work; the worker's HTTP server shows it under `/status`.
"""

from __future__ import annotations

import msgspec

from schemas.event import Priority


class PartitionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One owned partition."""

    topic: str
    partition: int
    watermark: int
    unsettled: int
    oldest_ms: float
    lag: int
    held: bool

    def __str__(self) -> str:
        held = ", held" if self.held else ""
        return (
            f"<Partition {self.topic}/{self.partition} | watermark {self.watermark}, "
            f"{self.unsettled} unsettled, oldest {self.oldest_ms / 1_000:.1f} s{held}>"
        )


class StageStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One stage: what it owns and what it did so far."""

    stage: str
    group: str
    partitions: tuple[PartitionStatus, ...]
    settled: int
    commits: int
    commit_failures: int
    rebalances: int
    rebalance_ms: float


class LaneStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for a node, of one priority."""

    priority: Priority
    waiting: int
    in_flight: int
    oldest_ms: float


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One inference node as this worker sees it."""

    name: str
    state: str
    in_flight: int
    slots: int
    answered: int
    last_error: str


class PolicyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The active policy."""

    id: str
    version: int
    digest: str


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One worker."""

    worker: str
    pid: int
    ready: bool
    stages: tuple[StageStatus, ...] = ()
    lanes: tuple[LaneStatus, ...] = ()
    nodes: tuple[NodeStatus, ...] = ()
    policies: tuple[PolicyStatus, ...] = ()
    enforce: bool = True
    paused: tuple[Priority, ...] = ()
    decided: dict[str, int] = msgspec.field(default_factory=dict)
    """Verdicts by `decided_by`."""
    dead_letters: int = 0
    last_error: str = ""
