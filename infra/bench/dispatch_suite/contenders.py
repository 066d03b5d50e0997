"""Who puts questions to nodes: the dispatch, and what a user would write: a semaphore, and nodes in turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Protocol

from schemas.event import Moderate
from schemas.policy import Label, Policy, Prompt
from schemas.settings import JudgeSettings
from streams.core.routing import Terms
from streams.dispatch import Dispatch, Job, Judged, Outcome
from streams.ports import Clock, Node, Question

POLICY = Policy(
    id="bench",
    version=1,
    labels=(Label(name="spam", description="Adverts."),),
    prompts=(Prompt(kind="moderate", text="Judge the post."),),
)


class Contender(Protocol):
    """Somebody who has questions answered."""

    async def ask(self, question: Question, lane: int) -> float:
        """Have one answered; the moment it was begun with."""
        ...


class Ours:
    """The dispatch."""

    def __init__(self, dispatch: Dispatch, clock: Clock) -> None:
        self.dispatch = dispatch
        self._clock = clock

    async def ask(self, question: Question, lane: int) -> float:
        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def give_up() -> None:
            ended.cancel()

        self.dispatch.submit(
            Job(
                question=question,
                lane=lane,
                arrived_ms=self._clock.now_ms(),
                done=lambda outcome: None if ended.done() else ended.set_result(outcome),
                is_wanted=lambda: True,
                give_up=give_up,
            )
        )
        match await ended:
            case Judged(dispatched_ms=dispatched_ms):
                return dispatched_ms
            case outcome:
                raise AssertionError(f"a question of the bench ended as {outcome}")


class Plain:
    """A semaphore over all nodes, which are taken in turn: first come, first served."""

    def __init__(self, nodes: Sequence[Node], limit: int, clock: Clock) -> None:
        self._nodes = cycle(nodes)
        self._semaphore = asyncio.Semaphore(limit)
        self._clock = clock

    async def ask(self, question: Question, lane: int) -> float:  # noqa: ARG002 - it knows no lanes
        async with self._semaphore:
            began_ms = self._clock.now_ms()
            await next(self._nodes).judge(question)
        return began_ms


def post(number: int, *, tokens: int) -> Question:
    """A question about a post of so many tokens."""
    return Question(Moderate(v=1, id=str(number), text="x" * 4 * tokens), POLICY)


@asynccontextmanager
async def dispatching(
    nodes: Sequence[Node], clock: Clock, *, goal_ms: float = 0.0, judge: JudgeSettings | None = None
) -> AsyncIterator[Ours]:
    """The dispatch over some nodes."""
    settings = judge or JudgeSettings()
    terms: Callable[[str], Terms] = lambda _: Terms(goal_ms=goal_ms)  # noqa: E731 - it is one word long
    dispatch = Dispatch(nodes, lambda: settings, clock, terms=terms)
    await dispatch.start()
    try:
        yield Ours(dispatch, clock)
    finally:
        await dispatch.stop()
