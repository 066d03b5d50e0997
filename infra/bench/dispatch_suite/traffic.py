"""Traffic: users who ask again as soon as they are answered, and critical questions that come at random."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from infra.bench.dispatch_suite.contenders import Contender, post
from infra.bench.dispatch_suite.simulated import SimulatedNode
from infra.bench.engine_suite.effort import percentile
from infra.bench.virtual import VirtualClock

# Posts of 20 to 140 tokens: as long as comments are.
_TOKENS = (20, 140)
_SCRAPE_S = 0.5


@dataclass(frozen=True, slots=True)
class Answered:
    """One question's way, in milliseconds since the beginning."""

    lane: int
    asked_ms: float
    began_ms: float
    ended_ms: float

    @property
    def waited_ms(self) -> float:
        return self.began_ms - self.asked_ms

    @property
    def took_ms(self) -> float:
        return self.ended_ms - self.asked_ms

    @property
    def served_ms(self) -> float:
        return self.ended_ms - self.began_ms


@dataclass(slots=True)
class Log:
    """What was answered, and how many waited in the engines at each look."""

    answered: list[Answered] = field(default_factory=list)
    queued: list[int] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<Log {len(self.answered)} answered>"

    def between(self, from_s: float, to_s: float, *, lanes: Iterable[int] = range(4)) -> list[Answered]:
        wanted = set(lanes)
        return [a for a in self.answered if from_s * 1_000 <= a.ended_ms < to_s * 1_000 and a.lane in wanted]

    def per_s(self, from_s: float, to_s: float) -> float:
        return len(self.between(from_s, to_s)) / (to_s - from_s)


def mean_ms(answered: Sequence[Answered], figure: Callable[[Answered], float]) -> float:
    return fmean(map(figure, answered)) if answered else float("nan")


def share_ms(answered: Sequence[Answered], share: float, figure: Callable[[Answered], float]) -> float:
    return percentile(map(figure, answered), share) if answered else float("nan")


class Traffic:
    """Puts questions to a contender for a while, and keeps the log."""

    def __init__(self, contender: Contender, *, seed: int = 7) -> None:
        self._contender = contender
        self._random = random.Random(seed)  # noqa: S311 - the same traffic for everybody
        self._clock = VirtualClock()
        self._began_ms = self._clock.now_ms()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked = 0
        self.log = Log()

    def __repr__(self) -> str:
        return f"<Traffic {self._asked} asked, {self.log!r}>"

    def users(self, count: int, lanes: Sequence[int]) -> None:
        """So many who ask, each in the next of these lanes, and ask again when they are answered."""
        for number in range(count):
            self._start(self._user(lanes[number % len(lanes)]))

    def users_later(self, count: int, lanes: Sequence[int], *, after_s: float) -> None:
        """The same, but not yet."""
        self._start(self._later(count, lanes, after_s))

    def poisson(self, per_s: float, lane: int) -> None:
        """Questions that come at random."""
        self._start(self._random_ones(per_s, lane))

    def watch(self, nodes: Sequence[SimulatedNode]) -> None:
        """Look at the engines' own lines."""
        self._start(self._scrape(nodes))

    async def run(self, until_s: float) -> Log:
        """Let it go on until so long after the beginning."""
        await asyncio.sleep(until_s - (self._clock.now_ms() - self._began_ms) / 1_000)
        return self.log

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _user(self, lane: int) -> None:
        while True:
            await self._ask(lane)

    async def _later(self, count: int, lanes: Sequence[int], after_s: float) -> None:
        await asyncio.sleep(after_s)
        self.users(count, lanes)

    async def _random_ones(self, per_s: float, lane: int) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(per_s))
            self._start(self._ask(lane))

    async def _scrape(self, nodes: Sequence[SimulatedNode]) -> None:
        while True:
            await asyncio.sleep(_SCRAPE_S)
            self.log.queued += [node.engine.waiting for node in nodes]

    async def _ask(self, lane: int) -> None:
        self._asked += 1
        question = post(self._asked, tokens=self._random.randint(*_TOKENS))
        asked_ms = self._clock.now_ms()
        began_ms = await self._contender.ask(question, lane)
        ended_ms = self._clock.now_ms()
        since_ms = self._began_ms
        self.log.answered.append(
            Answered(lane, asked_ms - since_ms, began_ms - since_ms, ended_ms - since_ms)
        )
