"""An engine that is simulated: the reference node's slots and prices, without a wire and without answers.

Its time is alpha + beta x busy slots + prompt tokens, as docs/reference-node.md tells; it can be slowed down.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from infra.nodes.reference.pricing import service_ms
from infra.nodes.reference.slots import Slots
from schemas.settings import ReferenceNodeSettings
from streams.core.tokens import estimated_work
from streams.ports import Answer, Question

_ANSWER = Answer(labels=(), confidence=1.0, model="simulated")
_QUEUE_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Engine:
    """What an engine is like."""

    slots: int
    alpha_ms: float
    beta_ms: float = 0.0
    prompt_token_us: float = 0.0

    @property
    def settings(self) -> ReferenceNodeSettings:
        return ReferenceNodeSettings(
            alpha_ms=self.alpha_ms, beta_ms=self.beta_ms, prompt_token_us=self.prompt_token_us
        )


class SimulatedNode:
    """One such engine behind the port."""

    model = "simulated"
    asks = (model,)

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.slots = engine.slots
        self.engine = Slots(engine.slots, queue_max=_QUEUE_MAX)
        self.slowness = 1.0
        self._settings = engine.settings

    def __repr__(self) -> str:
        return f"<SimulatedNode {self.name} {self.engine!r}>"

    async def judge(self, question: Question) -> Answer:
        """Hold a slot for as long as the question takes."""
        async with self.engine.slot() as busy:
            tokens = estimated_work(question.event)
            ms = service_ms(self._settings, busy=busy, uncached_tokens=tokens, output_tokens=0)
            await asyncio.sleep(ms * self.slowness / 1_000)
        return _ANSWER

    async def probe(self) -> None:
        """It is always well."""

    async def close(self) -> None:
        """There is nothing to give back."""
