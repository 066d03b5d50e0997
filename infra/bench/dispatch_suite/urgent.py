"""How long critical waits under a backlog of low, and whether each lane is served within its guard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from infra.bench.dispatch_suite.grounds import LOW, WARM_S, Ground, backlog, best_fixed, ours, plain
from infra.bench.dispatch_suite.simulated import Engine, SimulatedNode
from infra.bench.dispatch_suite.traffic import Traffic, mean_ms, share_ms
from infra.bench.report import Finding
from schemas.settings import JudgeSettings

GROUNDS = {
    "8 slots": Ground(Engine(slots=8, alpha_ms=180.0, beta_ms=4.0, prompt_token_us=500.0)),
    "4 x 8 slots": Ground(Engine(slots=8, alpha_ms=550.0, beta_ms=10.0, prompt_token_us=500.0), nodes=4),
    "2 x 64 slots": Ground(
        Engine(slots=64, alpha_ms=300.0, beta_ms=6.0, prompt_token_us=500.0), nodes=2, goal_ms=2_000.0
    ),
}
_CRITICAL_LOAD = 0.3
_UNTIL_S = 150.0
GUARDS = JudgeSettings(guard_high_s=1.0, guard_medium_s=3.0, guard_low_s=10.0)
"""The usual guards, scaled down."""
_OVERLOAD = 0.9


def run() -> Iterator[Finding]:
    """The waits, then the guards."""
    for name, ground in GROUNDS.items():
        yield from _waits(name, ground)
    yield from _guards()


def _waits(name: str, ground: Ground) -> Iterator[Finding]:
    _, best = best_fixed(ground)

    def scene(traffic: Traffic, nodes: Sequence[SimulatedNode]) -> None:
        traffic.poisson(_CRITICAL_LOAD * best, 0)
        backlog(traffic, nodes)

    log = ours(ground, scene, _UNTIL_S)
    peer = plain(ground, ground.slots, scene, _UNTIL_S)
    critical = log.between(WARM_S, _UNTIL_S, lanes=[0])
    waited_by_peer = peer.between(WARM_S, _UNTIL_S, lanes=[0])
    # T/c: how often a slot becomes free.
    turn_ms = mean_ms(log.between(WARM_S, _UNTIL_S), lambda a: a.served_ms) / ground.slots
    wait_ms = mean_ms(critical, lambda a: a.waited_ms)
    yield Finding(
        what=f"{name}: critical waits, in T/c, mean", ours=wait_ms / turn_ms, unit="T/c", target=1.0
    )
    slow_ms = share_ms(critical, 0.99, lambda a: a.waited_ms)
    yield Finding(what=f"{name}: critical waits, p99", ours=slow_ms / turn_ms, unit="T/c", target=5.0)
    yield Finding(
        what=f"{name}: critical waits, beside a semaphore",
        ours=wait_ms,
        unit="ms",
        peer=mean_ms(waited_by_peer, lambda a: a.waited_ms),
    )


def _guards() -> Iterator[Finding]:
    ground = GROUNDS["8 slots"]
    _, best = best_fixed(ground)

    def scene(traffic: Traffic, _nodes: Sequence[SimulatedNode]) -> None:
        traffic.poisson(_OVERLOAD * best, 0)
        for lane in (1, 2, LOW):
            traffic.users(40, (lane,))

    log = ours(ground, scene, _UNTIL_S, judge=GUARDS)
    guards_s = (GUARDS.guard_high_s, GUARDS.guard_medium_s, GUARDS.guard_low_s)
    for lane, guard_s in zip(("high", "medium", "low"), guards_s, strict=True):
        number = ("critical", "high", "medium", "low").index(lane)
        begun = sorted(answered.began_ms for answered in log.answered if answered.lane == number)
        gap_ms = max((later - sooner for sooner, later in pairwise([0.0, *begun])), default=_UNTIL_S * 1_000)
        yield Finding(
            what=f"critical at 0.9: {lane} waits at most", ours=gap_ms / 1_000, unit="s", target=guard_s
        )
