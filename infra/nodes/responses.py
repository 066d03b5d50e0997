"""What a node's HTTP answer means: an answer to the question, or whose fault it is that there is none.

Pure: status, headers, bytes and replies in; a value or a `NodeFault` out. No sentence here quotes what a
node sent, for that may be the content that was judged; of an error only its code is shown, if it looks like
one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from streams.core.answers import NOT_DECODABLE, Judgement, UnusableAnswer
from streams.core.formats.asking import Asking
from streams.core.packed_questions import PackedTemplate
from streams.core.packing import Discarded, Pack, read_pack
from streams.core.replies import Reply
from streams.ports import (
    Answer,
    BadAnswer,
    Misconfigured,
    NodeFault,
    Overloaded,
    PackedAnswer,
    Refused,
    TimedOut,
    Unreachable,
)

RETRY_AFTER_MS_MAX = 60_000.0
"""A node that asks for more patience than this is probed again all the same."""

_ERROR_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


class _Error(msgspec.Struct):
    code: str | int | None = None
    type: str | None = None


class _Errors(msgspec.Struct):
    error: _Error | str | None = None
    """OpenAI's, vLLM's and llama.cpp's object; TGI's and Ollama's sentence."""
    error_type: str | None = None
    """TGI's."""
    type: str | None = None
    """SGLang's, which has no object around it."""


_decode_models = msgspec.json.Decoder(_Models).decode
_decode_error = msgspec.json.Decoder(_Errors).decode


def judgement_in(asking: Asking, replies: Sequence[Reply]) -> Judgement:
    """What the replies to one asking say, or `BadAnswer`."""
    try:
        return asking.parse(replies)
    except UnusableAnswer as error:
        raise BadAnswer(f"{error.code}: {error}") from None


def answer_of(judgement: Judgement, replies: Sequence[Reply], model: str, *, coverage: float = 1.0) -> Answer:
    """A judgement, and what it took, as the port has it."""
    return Answer(
        labels=judgement.labels,
        confidence=judgement.confidence,
        model=model,
        result=judgement.result,
        prompt_tokens=sum(reply.prompt_tokens for reply in replies),
        cached_tokens=sum(reply.cached_tokens for reply in replies),
        output_tokens=sum(reply.output_tokens for reply in replies),
        mass=judgement.mass,
        coverage=coverage,
    )


def packed_answer_of(
    pack: Pack, template: PackedTemplate, reply: Reply, model: str, *, asked: str = ""
) -> PackedAnswer:
    """The answers about a pack; `BadAnswer` where none of them is believed."""
    reading = read_pack(pack, template.names, reply.content)
    if isinstance(reading, Discarded):
        raise BadAnswer(f"the pack is discarded: {reading.code}")
    posts = len(reading.judgements)
    # To each post its share.
    share = Reply(
        prompt_tokens=reply.prompt_tokens // posts,
        cached_tokens=reply.cached_tokens // posts,
        output_tokens=reply.output_tokens // posts,
    )
    answers = (
        replace(answer_of(judged, [share], model), asked=asked) if isinstance(judged, Judgement) else None
        for judged in reading.judgements
    )
    return PackedAnswer(tuple(answers), tokens=reply.prompt_tokens + reply.output_tokens)


def models_in(body: bytes) -> tuple[str, ...]:
    """The names in a list of models, or `BadAnswer`."""
    try:
        return tuple(model.id for model in _decode_models(body).data)
    except NOT_DECODABLE:
        raise BadAnswer("the response is not a list of models") from None


def fault_in(status: int, headers: Mapping[str, str], body: bytes) -> NodeFault:
    """What a status other than 200 says.

    1. 429 and 503 are overload, or a model that is still loading: the node asks for patience.
    2. 408 is a node that gave up waiting; for us the question took too long.
    3. 401, 403, 404, 405, 501 and redirects are settings: another question would fare no better.
    4. Other 4xx are this question's fault; 424 alone is TGI's word for a generation that failed.
    5. Everything else is the node's.
    """
    detail = f"HTTP {status}{_code_in(body)}"
    match status:
        case 429 | 503:
            return Overloaded(detail, retry_after_ms=_retry_after_ms(headers))
        case 408:
            return TimedOut(detail)
        case 401 | 403 | 404 | 405 | 501:
            return Misconfigured(detail)
        case _ if 300 <= status < 400:
            return Misconfigured(f"{detail}: a redirect; give the address it leads to")
        case _ if 400 <= status < 500 and status != 424:
            return Refused(detail)
        case _:
            return Unreachable(detail)


def _retry_after_ms(headers: Mapping[str, str]) -> float:
    """A `Retry-After` in seconds; the form with a date is as good as none, since clocks differ."""
    given = headers.get("retry-after", "").strip()
    return min(1_000 * float(given), RETRY_AFTER_MS_MAX) if _SECONDS.fullmatch(given) else 0.0


def _code_in(body: bytes) -> str:
    """The error's code or, without one, its type: a word, never a sentence."""
    try:
        told = _decode_error(body)
    except NOT_DECODABLE:
        return ""
    inner = told.error if isinstance(told.error, _Error) else _Error()
    for word in (inner.code, inner.type, told.error_type, told.type):
        if isinstance(word, str) and _ERROR_CODE.fullmatch(word):
            return f" ({word})"
    return ""
