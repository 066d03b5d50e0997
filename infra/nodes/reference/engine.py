"""The reference node without its HTTP: takes a request, lets it wait and be served, and gives the completion.

While a request is served nothing is computed: a slot is held, and one timer runs. The busy slots are counted
when a request gets its own, and its time does not change after that: so a run can be reckoned by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from infra.nodes.reference.answering import Piece, SchemaNotUnderstood, answer, document_in, garbled
from infra.nodes.reference.chat import BadRequest, ChatRequest, Completion, schema_of
from infra.nodes.reference.faults import Delay, Fault, Garble, Hang, MixedUp
from infra.nodes.reference.packs import answer_pack, is_packed
from infra.nodes.reference.pricing import PrefixCache, service_ms
from infra.nodes.reference.slots import QueueFull, Slots
from schemas.settings import ReferenceNodeSettings
from streams.core.tokens import estimated_message_tokens

Sleep = Callable[[float], Awaitable[None]]


async def sleep_ms(ms: float) -> None:
    """Sleep on the event loop's own timer."""
    await asyncio.sleep(ms / 1_000)


class ReferenceEngine:
    """Slots, a line before them, and a prefix cache."""

    def __init__(self, settings: ReferenceNodeSettings, sleep: Sleep = sleep_ms) -> None:
        self._settings = settings
        self._sleep = sleep
        self._prefixes = PrefixCache(settings.cached_prefixes_max)
        self.slots = Slots(settings.slots, queue_max=settings.queue_max)

    def __repr__(self) -> str:
        return f"<ReferenceEngine {self.slots!r}, {len(self._prefixes)} prefixes>"

    async def complete(self, request: ChatRequest, fault: Fault | None = None) -> Completion:
        """The completion, once it was waited for; raises `BadRequest`."""
        pieces, finish_reason = _cut(_answered(request, fault), request.output_tokens_max)
        try:
            async with self.slots.slot() as busy:
                return await self._serve(request, fault, pieces, finish_reason, busy)
        except QueueFull:
            raise BadRequest(
                "The node is busy and its queue is full.", status=503, code="queue_full"
            ) from None

    async def _serve(
        self,
        request: ChatRequest,
        fault: Fault | None,
        pieces: Sequence[Piece],
        finish_reason: str,
        busy: int,
    ) -> Completion:
        prompt_tokens = sum(estimated_message_tokens(message.text) for message in request.messages)
        cached_tokens = (
            estimated_message_tokens(request.system) if self._prefixes.is_hit(request.system) else 0
        )
        ms = service_ms(
            self._settings,
            busy=busy,
            uncached_tokens=max(0, prompt_tokens - cached_tokens),
            output_tokens=len(pieces),
        )
        match fault:
            case Hang():
                await asyncio.get_running_loop().create_future()
            case Delay(delay_ms):
                await self._sleep(ms + delay_ms)
            case _:
                await self._sleep(ms)
        return Completion(
            pieces=tuple(pieces),
            finish_reason=finish_reason,
            prompt_tokens=prompt_tokens,
            cached_tokens=cached_tokens,
        )


def _answered(request: ChatRequest, fault: Fault | None) -> tuple[Piece, ...]:
    schema = schema_of(request.response_format)
    try:
        if schema is not None and is_packed(schema):
            pieces = answer_pack(schema, request.content, _mixed_up(fault))
        else:
            pieces = answer(schema, document_in(request.content))
    except SchemaNotUnderstood as error:
        raise BadRequest(
            f"This node does not understand the schema: {error}. It is not a language model.",
            code="schema_not_understood",
        ) from None
    return garbled(pieces, fault.how) if isinstance(fault, Garble) else pieces


def _mixed_up(fault: Fault | None) -> MixedUp | None:
    match fault:
        case Garble("missing_id" | "doubled_id" | "foreign_id" | "mixed_ids" as how):
            return how
        case _:
            return None


def _cut(pieces: tuple[Piece, ...], output_tokens_max: int | None) -> tuple[tuple[Piece, ...], str]:
    if output_tokens_max is not None and len(pieces) > output_tokens_max:
        return pieces[:output_tokens_max], "length"
    return pieces, "stop"
