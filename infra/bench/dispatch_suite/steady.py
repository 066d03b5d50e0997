"""How much gets through: beside the best fixed limit that a search finds, and beside a plain semaphore."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from infra.bench.dispatch_suite.grounds import WARM_S, Ground, backlog, best_fixed, ours, plain
from infra.bench.dispatch_suite.simulated import Engine, SimulatedNode
from infra.bench.dispatch_suite.traffic import Log, Traffic
from infra.bench.report import Finding

BATCHING = Ground(Engine(slots=256, alpha_ms=200.0, beta_ms=8.25, prompt_token_us=100.0))
"""One post in 200 ms, and a second for each of a hundred: a batching engine that declares more than that."""
SLOTS = Ground(Engine(slots=8, alpha_ms=180.0, beta_ms=4.0, prompt_token_us=200.0), nodes=4)
"""Four engines with eight slots each."""
_UNTIL_S = 90.0
_SLOW_AT_S = 60.0
# Within 60 s of the slowing-down: what is measured begins then.
_SLOWED_S = 120.0


def run() -> Iterator[Finding]:
    """Everything at full load."""
    for name, ground in (("batching", BATCHING), ("4 x 8 slots", SLOTS)):
        yield from _steady(name, ground)
        yield _with_critical(name, ground)
    yield _slowed()


def _steady(name: str, ground: Ground) -> Iterator[Finding]:
    def watched(traffic: Traffic, nodes: Sequence[SimulatedNode]) -> None:
        traffic.watch(nodes)
        backlog(traffic, nodes)

    limit, best = best_fixed(ground)
    log = ours(ground, watched, _UNTIL_S)
    yield Finding(
        what=f"{name}: beside fixed {limit}",
        ours=log.per_s(WARM_S, _UNTIL_S),
        unit="posts/s",
        peer=best,
        target=0.97,
        bound="at least",
    )
    declared = plain(ground, ground.slots, backlog, WARM_S)
    yield Finding(
        what=f"{name}: p95, beside semaphore of {ground.slots}",
        ours=_p95_ms(log, WARM_S, _UNTIL_S),
        unit="ms",
        peer=_p95_ms(declared, WARM_S / 3, WARM_S),
    )
    waiting = sum(queued <= 2 for queued in log.queued) / len(log.queued)
    yield Finding(
        what=f"{name}: at most 2 in the engine's line",
        ours=100 * waiting,
        unit="% of looks",
        target=95,
        bound="at least",
    )


def _with_critical(name: str, ground: Ground) -> Finding:
    _, best = best_fixed(ground)

    def scene(traffic: Traffic, nodes: Sequence[SimulatedNode]) -> None:
        traffic.poisson(0.3 * best, 0)
        backlog(traffic, nodes)

    return Finding(
        what=f"{name}: with critical at 0.3",
        ours=ours(ground, scene, _UNTIL_S).per_s(WARM_S, _UNTIL_S),
        unit="posts/s",
        peer=best,
        target=0.94,
        bound="at least",
    )


def _slowed() -> Finding:
    engine = BATCHING.engine
    slow = replace(engine, alpha_ms=2 * engine.alpha_ms, beta_ms=2 * engine.beta_ms, prompt_token_us=200.0)
    limit, best = best_fixed(replace(BATCHING, engine=slow))
    log = ours(BATCHING, backlog, _SLOWED_S + WARM_S, slow_at_s=_SLOW_AT_S)
    return Finding(
        what=f"60 s after slowing down, fixed {limit}",
        ours=log.per_s(_SLOWED_S, _SLOWED_S + WARM_S),
        unit="posts/s",
        peer=best,
        target=0.90,
        bound="at least",
    )


def _p95_ms(log: Log, from_s: float, to_s: float) -> float:
    served = sorted(answered.served_ms for answered in log.between(from_s, to_s))
    return served[len(served) * 19 // 20]
