"""The bytes of a 200 from an engine, as a `Reply`: OpenAI's shape whole or in pieces, Ollama's, decisions.

Pure; a `BadAnswer` where it is none of that. What a thinking model thought is left out: it is no answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import assert_never

import msgspec

from infra.nodes.engines import shapes
from streams.core.answers import NOT_DECODABLE
from streams.core.formats.decisions import Speller
from streams.core.replies import Decision, Reply, Token
from streams.core.requests import Wire
from streams.ports import BadAnswer

CUT_OFF = "the answer was cut off at its limit of tokens"
_NEGLIGIBLE = math.log(1e-5)
"""Twenty less likely ones than this change the mass in its fourth digit."""
_EVENT = b"data:"
_OF_A_STREAM = (_EVENT, b"event:", b":")
"""How a stream may begin; a colon alone is a comment, by which a server says that it is still there."""
_DONE = b"[DONE]"

_decode_completion = msgspec.json.Decoder(shapes.Completion).decode
_decode_chunk = msgspec.json.Decoder(shapes.Chunk).decode
_decode_ollama = msgspec.json.Decoder(shapes.OllamaChat).decode
_decode_vllm = msgspec.json.Decoder(shapes.VllmDecisions).decode
_decode_sglang = msgspec.json.Decoder(shapes.SglangDecisions).decode
_decode_alternatives = msgspec.json.Decoder(list[shapes.Alternative] | None).decode


def reply_in(body: bytes, wire: Wire) -> Reply:
    """The reply to a chat."""
    try:
        match wire:
            case "openai":
                return _streamed(body) if body.lstrip().startswith(_OF_A_STREAM) else _whole(body)
            case "ollama":
                return _ollama(body)
            case _:
                assert_never(wire)
    except NOT_DECODABLE:
        raise BadAnswer("the response is not a chat completion") from None


def decisions_in(body: bytes, speller: Speller) -> Reply:
    """The reply of an endpoint that decides without writing."""
    try:
        match speller:
            case "vllm":
                made = _decode_vllm(body)
                decisions = {one.name: Decision(one.probability) for one in made.answers}
                usage = made.usage
                cached = usage.input_tokens_details.cached_tokens
                return Reply(decisions=decisions, prompt_tokens=usage.input_tokens, cached_tokens=cached or 0)
            case "sglang":
                told = _decode_sglang(body)
                return Reply(
                    decisions={
                        name: Decision(one.probabilities.yes, one.label_mass)
                        for name, one in told.answers.items()
                    },
                    prompt_tokens=told.usage.prompt_tokens or 0,
                )
            case _:
                assert_never(speller)
    except NOT_DECODABLE:
        raise BadAnswer("the response is no list of decisions") from None


def _whole(body: bytes) -> Reply:
    completion = _decode_completion(body)
    if not completion.choices:
        raise BadAnswer("the response holds no choice")
    choice = completion.choices[0]
    if choice.finish_reason == "length":
        raise BadAnswer(CUT_OFF)
    content = choice.logprobs.content if choice.logprobs else None
    return _counted(choice.message.content or "", content or [], completion.usage)


def _streamed(body: bytes) -> Reply:
    """The pieces of a stream, put together: text and tokens follow one another, usage comes last."""
    text: list[str] = []
    tokens: list[shapes.Logprob] = []
    finish_reason: str | None = None
    usage: shapes.Usage | None = None
    for event in _events(body):
        chunk = _decode_chunk(event)
        usage = chunk.usage or usage
        for choice in chunk.choices[:1]:
            text.append(choice.delta.content or "")
            tokens += (choice.logprobs.content if choice.logprobs else None) or ()
            finish_reason = choice.finish_reason or finish_reason
    if finish_reason == "length":
        raise BadAnswer(CUT_OFF)
    if finish_reason is None:
        raise BadAnswer("the stream ended before the answer did")
    return _counted("".join(text), tokens, usage)


def _events(body: bytes) -> Iterator[bytes]:
    for line in body.splitlines():
        event = line.removeprefix(_EVENT).strip() if line.startswith(_EVENT) else b""
        if event and event != _DONE:
            yield event


def _ollama(body: bytes) -> Reply:
    chat = _decode_ollama(body)
    if chat.done_reason == "length":
        raise BadAnswer(CUT_OFF)
    if not chat.done:
        raise BadAnswer("the response is a part of a stream that was not asked for")
    return Reply(
        content=chat.message.content,
        tokens=_tokens(chat.logprobs or []),
        prompt_tokens=chat.prompt_eval_count,
        output_tokens=chat.eval_count,
    )


def _counted(content: str, told: list[shapes.Logprob], usage: shapes.Usage | None) -> Reply:
    usage = usage or shapes.Usage()
    details = usage.prompt_tokens_details or shapes.Details()
    return Reply(
        content=content,
        tokens=_tokens(told),
        prompt_tokens=usage.prompt_tokens or 0,
        cached_tokens=details.cached_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
    )


class _Alternatives(Mapping[bytes, float]):
    """Of one token, read when they are asked for: of most tokens nobody asks."""

    def __init__(self, told: shapes.Logprob) -> None:
        self._told = told
        self._read: dict[bytes, float] | None = None

    def __getitem__(self, text: bytes) -> float:
        return self._by_text()[text]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._by_text())

    def __len__(self) -> int:
        return len(self._by_text())

    def _by_text(self) -> dict[bytes, float]:
        if self._read is None:
            others = _alternatives(bytes(self._told.top_logprobs))
            likely = [one for one in others if one.logprob is not None and one.logprob > _NEGLIGIBLE]
            every = (*likely, self._told) if others else ()
            self._read = {_bytes_of(one): _probability(one.logprob) for one in every}
        return self._read


def _alternatives(told: bytes) -> list[shapes.Alternative]:
    """None, where the engine tells none, or nothing that can be read: then there is no probability."""
    try:
        return _decode_alternatives(told) or [] if told else []
    except NOT_DECODABLE:
        return []


def _tokens(told: list[shapes.Logprob]) -> tuple[Token, ...]:
    return tuple(Token(_bytes_of(one), _Alternatives(one)) for one in told)


def _bytes_of(token: shapes.Alternative) -> bytes:
    """A token may be a part of a character, and its text then a mark for what cannot be shown."""
    if token.bytes is not None and all(0 <= byte <= 255 for byte in token.bytes):
        return bytes(token.bytes)
    return token.token.encode()


def _probability(logprob: float | None) -> float:
    # Rounding may leave a little more than certainty; what an engine cannot say is not likely.
    return 0.0 if logprob is None else math.exp(min(0.0, logprob))
