"""Where contenders meet: engines and traffic in virtual time; and the search for the best fixed limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache

from infra.bench.dispatch_suite.contenders import Contender, Plain, dispatching
from infra.bench.dispatch_suite.simulated import Engine, SimulatedNode
from infra.bench.dispatch_suite.traffic import Log, Traffic, mean_ms
from infra.bench.virtual import VirtualClock, simulate
from schemas.settings import JudgeSettings

LOW = 3
WARM_S = 30.0
"""What a limit may take to find its place before it is measured."""


@dataclass(frozen=True)
class Ground:
    """A pool of like engines, and the goal that answers should meet."""

    engine: Engine
    nodes: int = 1
    goal_ms: float = 1_000.0

    @property
    def slots(self) -> int:
        return self.engine.slots * self.nodes

    def make(self) -> list[SimulatedNode]:
        return [SimulatedNode(f"n{number}", self.engine) for number in range(self.nodes)]


Scene = Callable[[Traffic, Sequence[SimulatedNode]], None]
"""Starts the traffic."""


def backlog(traffic: Traffic, nodes: Sequence[SimulatedNode]) -> None:
    """More low ones than there are slots, at any time."""
    traffic.users(2 * sum(node.slots for node in nodes) + 8, (LOW,))


def ours(
    ground: Ground,
    scene: Scene,
    until_s: float,
    *,
    judge: JudgeSettings | None = None,
    slow_at_s: float | None = None,
) -> Log:
    """The dispatch on this ground."""

    async def scenario() -> Log:
        nodes = ground.make()
        async with dispatching(nodes, VirtualClock(), goal_ms=ground.goal_ms, judge=judge) as contender:
            return await _play(contender, nodes, scene, until_s, slow_at_s)

    return simulate(scenario())


def plain(ground: Ground, limit: int, scene: Scene, until_s: float) -> Log:
    """A semaphore of so many on this ground."""

    async def scenario() -> Log:
        nodes = ground.make()
        return await _play(Plain(nodes, limit, VirtualClock()), nodes, scene, until_s, None)

    return simulate(scenario())


async def _play(
    contender: Contender,
    nodes: Sequence[SimulatedNode],
    scene: Scene,
    until_s: float,
    slow_at_s: float | None,
) -> Log:
    async with AsyncExitStack() as ending:
        traffic = Traffic(contender)
        ending.push_async_callback(traffic.stop)
        scene(traffic, nodes)
        if slow_at_s is not None:
            await traffic.run(slow_at_s)
            for node in nodes:
                node.slowness = 2.0
        return await traffic.run(until_s)


@cache
def best_fixed(ground: Ground) -> tuple[int, float]:
    """The limit with the most answers a second of those whose mean meets the goal, and how many those are.

    The search halves: both the answers a second and what they take grow with the limit.
    """
    least, most = 1, ground.slots
    best = (1, 0.0)
    while least <= most:
        limit = (least + most) // 2
        log = plain(ground, limit, backlog, WARM_S)
        answered = log.between(WARM_S / 3, WARM_S)
        if mean_ms(answered, lambda a: a.served_ms) <= ground.goal_ms:
            best = max(best, (limit, log.per_s(WARM_S / 3, WARM_S)))
            least = limit + 1
        else:
            most = limit - 1
    return best
