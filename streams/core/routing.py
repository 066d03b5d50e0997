"""Which node gets a question, of those with a free slot: the one with the least to do, by its weight.

A question goes where its prompt's beginning is cached, but only among nodes within one slot of the least
loaded: a cache is worth less than an idle slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32


class Terms(NamedTuple):
    """What the settings say of a node."""

    weight: float = 1.0
    """How much it gets beside the others, for each of its slots."""
    is_backup: bool = False
    """Asked only while no other node is up."""
    goal_ms: float = 0.0
    requests_per_minute_max: int = 0
    tokens_per_minute_max: int = 0
    takes_packs: bool = False
    """Whether posts are put together for it, where that pays …"""
    is_priced_per_request: bool = False
    """… which it always does where a request costs the same whatever it holds."""


class Candidate(NamedTuple):
    """A node with a free slot, as it stands."""

    name: str
    running: int
    limit: int
    weight: float = 1.0
    has_failed: bool = False
    """At this very question."""
    takes_ms: float = 0.0
    """What an answer takes there at least; 0: not known."""


def pick(candidates: Sequence[Candidate], prefix: str, left_ms: float | None) -> int | None:
    """Which of them; None if none can answer in time. There must be one at least.

    1. One that cannot answer within what is left until the deadline is not asked.
    2. One that has failed at this question only where there is no other.
    3. The one with the least to do for its slots, by its weight.
    4. Of those within one slot of it, the one where the prompt is likely to be cached.
    """
    if len(candidates) == 1:
        return 0 if left_ms is None or candidates[0].takes_ms < left_ms else None
    fit = [at for at, node in enumerate(candidates) if left_ms is None or node.takes_ms < left_ms]
    if not fit:
        return None
    fit = [at for at in fit if not candidates[at].has_failed] or fit
    least = min(_load(candidates[at], 0) for at in fit)
    near = [at for at in fit if _load(candidates[at], -1) <= least]
    if len(near) == 1 or not prefix:
        return min(near, key=lambda at: _load(candidates[at], 0))
    return max(near, key=lambda at: affinity(prefix, candidates[at].name))


def affinity(prefix: str, node: str) -> int:
    """The node with the highest figure is the prompt's home, in every worker and after a restart."""
    return crc32(f"{prefix}/{node}".encode())


def _load(node: Candidate, more: int) -> float:
    return (node.running + more) / (node.limit * node.weight)
