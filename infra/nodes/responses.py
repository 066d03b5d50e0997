"""What a node's HTTP answer means: an answer to the question, or whose fault it is that there is none.

Pure: status, headers and bytes in; a value or a `NodeFault` out. No sentence here quotes what a node sent,
for that may be the content that was judged; of an error only its code is shown, if it looks like one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from streams.core.answers import UnusableAnswer, parse_answer
from streams.core.questions import PromptTemplate
from streams.ports import (
    Answer,
    BadAnswer,
    Misconfigured,
    NodeFault,
    Overloaded,
    Refused,
    TimedOut,
    Unreachable,
)

RETRY_AFTER_MS_MAX = 60_000.0
"""A node that asks for more patience than this is probed again all the same."""

_ERROR_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


class _Error(msgspec.Struct):
    code: str | int | None = None


class _Errors(msgspec.Struct):
    error: _Error


_decode_completion = msgspec.json.Decoder(_Completion).decode
_decode_models = msgspec.json.Decoder(_Models).decode
_decode_error = msgspec.json.Decoder(_Errors).decode
_NOT_DECODABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


def answer_in(body: bytes, template: PromptTemplate, model: str) -> Answer:
    """The answer in the body of a 200, or `BadAnswer`."""
    try:
        completion = _decode_completion(body)
    except _NOT_DECODABLE:
        raise BadAnswer("the response is not a chat completion") from None
    if not completion.choices:
        raise BadAnswer("the response holds no choice")
    choice = completion.choices[0]
    if choice.finish_reason == "length":
        raise BadAnswer("the answer was cut off at its limit of tokens")
    try:
        judgement = parse_answer(template.kind, template.names, choice.message.content or "")
    except UnusableAnswer as error:
        raise BadAnswer(f"{error.code}: {error}") from None
    usage = completion.usage or _Usage()
    details = usage.prompt_tokens_details or _Details()
    return Answer(
        labels=judgement.labels,
        confidence=judgement.confidence,
        model=model,
        result=judgement.result,
        prompt_tokens=usage.prompt_tokens or 0,
        cached_tokens=details.cached_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
    )


def models_in(body: bytes) -> tuple[str, ...]:
    """The names in a list of models, or `BadAnswer`."""
    try:
        return tuple(model.id for model in _decode_models(body).data)
    except _NOT_DECODABLE:
        raise BadAnswer("the response is not a list of models") from None


def fault_in(status: int, headers: Mapping[str, str], body: bytes) -> NodeFault:
    """What a status other than 200 says.

    1. 429 and 503 are overload, or a model that is still loading: the node asks for patience.
    2. 408 is a node that gave up waiting; for us the question took too long.
    3. 401, 403, 404 and redirects are settings: another question would fare no better.
    4. Other 4xx are this question's fault; 424 alone is TGI's word for a generation that failed.
    5. Everything else is the node's.
    """
    detail = f"HTTP {status}{_code_in(body)}"
    match status:
        case 429 | 503:
            return Overloaded(detail, retry_after_ms=_retry_after_ms(headers))
        case 408:
            return TimedOut(detail)
        case 401 | 403 | 404:
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
    try:
        code = _decode_error(body).error.code
    except _NOT_DECODABLE:
        return ""
    return f" ({code})" if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""
