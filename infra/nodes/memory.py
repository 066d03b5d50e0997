"""A node without a network: the reference engine behind the port, for tests and trials.

It asks and reads exactly as the HTTP client does, prompt template and parser included; only the wire is
missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.nodes.engines.wires import reply_in
from infra.nodes.reference import chat
from infra.nodes.reference.chat import BadRequest
from infra.nodes.reference.engine import ReferenceEngine, Sleep, sleep_ms
from infra.nodes.responses import answer_of, fault_in, judgement_in, packed_answer_of
from schemas.settings import ReferenceNodeSettings
from streams.clock import SystemClock
from streams.core.formats import general
from streams.core.packed_questions import packed_prompt_for
from streams.core.replies import Reply
from streams.core.requests import OPENAI_DIALECT
from streams.ports import Answer, Clock, NodeFault, PackedAnswer, PackedQuestion, Question, TimedOut

AT_ONCE = ReferenceNodeSettings(alpha_ms=0, beta_ms=0, prompt_token_us=0, output_token_us=0)


class MemoryNode:
    """A reference engine in this process; `failing`, where set, is what every question meets."""

    def __init__(
        self,
        name: str = "memory",
        settings: ReferenceNodeSettings = AT_ONCE,
        *,
        clock: Clock | None = None,
        sleep: Sleep = sleep_ms,
    ) -> None:
        self.name = name
        self.slots = settings.slots
        self.model = chat.MODEL
        self.asks = (self.model,)
        self.engine = ReferenceEngine(settings, sleep)
        self.failing: NodeFault | None = None
        self._clock = clock or SystemClock()
        self._answered = 0

    def __repr__(self) -> str:
        return f"<MemoryNode {self.name} {self.engine.slots!r}>"

    async def judge(self, question: Question) -> Answer:
        """Ask; raises a `NodeFault`."""
        asking = general.asking(question.policy, question.event.kind, chat.MODEL, OPENAI_DIALECT)
        (body,) = asking.build(question.event)
        async with self._border(question.deadline_ms):
            reply = await self._exchange(body)
            return answer_of(judgement_in(asking, [reply]), [reply], chat.MODEL)

    async def judge_pack(self, question: PackedQuestion) -> PackedAnswer:
        """Ask about several posts at once; raises a `NodeFault`."""
        template = packed_prompt_for(question.policy, question.kind, chat.MODEL)
        async with self._border(question.deadline_ms):
            reply = await self._exchange(template.body(question.pack))
            return packed_answer_of(question.pack, template, reply, chat.MODEL)

    async def probe(self) -> None:
        """Return if the node would take a question now; raises a `NodeFault`."""
        if self.failing is not None:
            raise self.failing

    async def close(self) -> None:
        """There is nothing to give back."""

    @asynccontextmanager
    async def _border(self, deadline_ms: float | None) -> AsyncIterator[None]:
        """Fails as it was told to; else bounds what is done within."""
        if self.failing is not None:
            raise self.failing
        bound_ms = None if deadline_ms is None else deadline_ms - self._clock.now_ms()
        if bound_ms is not None and bound_ms <= 0:
            raise TimedOut(f"{self.name}: not asked, the deadline had passed", was_sent=False)
        try:
            async with asyncio.timeout(None if bound_ms is None else bound_ms / 1_000):
                yield
        except TimeoutError:
            raise TimedOut(f"{self.name}: no answer within {bound_ms:.0f} ms") from None

    async def _exchange(self, body: bytes) -> Reply:
        """One request, and its reply."""
        request = chat.decode(body)
        try:
            completion = await self.engine.complete(request)
        except BadRequest as refusal:
            error = chat.encode_error(refusal.sentence, status=refusal.status, code=refusal.code)
            raise fault_in(refusal.status, {}, error) from None
        self._answered += 1
        at_s = self._clock.wall_ms() // 1_000
        return reply_in(chat.encode(completion, request, number=self._answered, at_s=at_s), "openai")
