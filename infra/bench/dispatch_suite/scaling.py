"""The scaling table: users in a closed loop without a pause, over more and more slots.

The ideal is max(1, users / slots) service times. Priorities are mixed in; the peer is a semaphore over all
slots with the nodes in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from infra.bench.dispatch_suite.grounds import Ground, ours, plain
from infra.bench.dispatch_suite.simulated import Engine, SimulatedNode
from infra.bench.dispatch_suite.traffic import Answered, Traffic, mean_ms, share_ms
from infra.bench.report import Finding

_SERVICE_S = 0.95
_USERS = 1_000
_ALIKE = (2,)
_MIXED = (0, *(1,) * 4, *(2,) * 10, *(3,) * 5)
"""One in twenty is critical, as where people wait for some of the posts."""
_WITHIN = 1.10
_URGENT = 6.0
"""Five of a hundred users are critical: on ten slots each of them waits for the other four at most."""


def run() -> Iterator[Finding]:
    """A few lines for each pool."""
    for nodes, slots in ((10, 1), (10, 16), (10, 50), (25, 50)):
        yield from _lines(_USERS, nodes, slots, _SERVICE_S)
    yield from _lines(50, 10, 1, 2.0)
    yield from _lines(50, 10, 16, 2.0)
    yield _ramp()


def _users(traffic: Traffic, _nodes: Sequence[SimulatedNode], *, users: int, lanes: Sequence[int]) -> None:
    traffic.users(users, lanes)


def _lines(users: int, nodes: int, slots: int, service_s: float) -> Iterator[Finding]:
    ground = Ground(Engine(slots=slots, alpha_ms=service_s * 1_000), nodes=nodes, goal_ms=0.0)
    ideal_s = max(1.0, users / ground.slots) * service_s
    # A pool has the time to grow, and everybody is answered once; then four rounds are measured.
    from_s = 20.0 + ideal_s
    until_s = from_s + max(20.0, 4 * ideal_s)
    alike = partial(_users, users=users, lanes=_ALIKE)
    answered = ours(ground, alike, until_s).between(from_s, until_s)
    peer = plain(ground, ground.slots, alike, until_s).between(from_s, until_s)
    name = f"{users:,} users, {nodes} x {slots}"
    mean_s = _mean_s(answered)
    yield Finding(what=f"{name}: mean, beside ideal", ours=mean_s, unit="s", peer=ideal_s, target=_WITHIN)
    yield Finding(what=f"{name}: mean, beside semaphore", ours=mean_s, unit="s", peer=_mean_s(peer))
    for share in (0.50, 0.95, 0.99):
        yield Finding(what=f"{name}: p{share * 100:.0f}", ours=_share_s(answered, share), unit="s")
    mixed = ours(ground, partial(_users, users=users, lanes=_MIXED), until_s)
    critical = mixed.between(from_s, until_s, lanes=[0])
    yield Finding(
        what=f"{name}: mixed, critical mean", ours=_mean_s(critical), unit="s", peer=service_s, target=_URGENT
    )
    yield Finding(what=f"{name}: mixed, critical p99", ours=_share_s(critical, 0.99), unit="s")
    yield Finding(
        what=f"{name}: mixed, answered",
        ours=mixed.per_s(from_s, until_s),
        unit="posts/s",
        peer=len(answered) / (until_s - from_s),
    )


def _ramp() -> Finding:
    """From 10 users to 160 on 10 x 16, ten more every two seconds: each finds a slot."""
    ground = Ground(Engine(slots=16, alpha_ms=2_000.0), nodes=10, goal_ms=0.0)
    answered = ours(ground, _ramping, 80.0).between(0.0, 80.0)
    return Finding(
        what="ramp to 160 users, 10 x 16: mean", ours=_mean_s(answered), unit="s", peer=2.0, target=_WITHIN
    )


def _ramping(traffic: Traffic, _nodes: Sequence[SimulatedNode]) -> None:
    for step in range(16):
        traffic.users_later(10, _ALIKE, after_s=2.0 * step)


def _mean_s(answered: Sequence[Answered]) -> float:
    return mean_ms(answered, lambda a: a.took_ms) / 1_000


def _share_s(answered: Sequence[Answered], share: float) -> float:
    return share_ms(answered, share, lambda a: a.took_ms) / 1_000
