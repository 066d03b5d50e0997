"""The bytes of a request in an engine's dialect, serialised up to the place of the content and from there on.

Nothing that varies may stand before the content, so that an engine's prefix cache hits. The temperature is
0: a second try is the same question, and an answer may stand for copies of its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, assert_never

import msgspec

Wire = Literal["openai", "ollama"]
ResponseFormat = Literal["json_schema", "schema", "value"]

_encode = msgspec.json.encode


class Dialect(NamedTuple):
    """How an engine wants the same request put."""

    response_format: ResponseFormat = "json_schema"
    """Under which key the schema stands: OpenAI's `json_schema`, TGI's `value`, or flat as `schema`."""
    extras: Mapping[str, object] = {}
    """Fields of the request that only this engine knows."""
    wire: Wire = "openai"
    is_streamed: bool = False
    """Asked for in pieces, because the engine notices only so that nobody is waiting any more."""
    top_logprobs: int = 0
    """How many alternatives to a token it tells; 0: confidence is what the model says of itself."""
    context_tokens: int = 0
    """Of each slot, where the engine is to be told with each request; 0: it knows."""


OPENAI_DIALECT = Dialect()


class Body(NamedTuple):
    """A request, serialised up to the content and from there on."""

    before: bytes
    after: bytes

    def around(self, content: str) -> bytes:
        """The whole request. The content is a JSON string and cannot close its own quotes."""
        return self.before + _encode(content) + self.after


def chat_body(
    model: str,
    system: str,
    dialect: Dialect,
    *,
    tokens_max: int,
    schema: Mapping[str, Any] | None = None,
    name: str = "",
    template: Mapping[str, object] | None = None,
) -> Body:
    """A chat of a system prompt, where there is one, and the content; `template` fills the chat template."""
    first = b'{"role":"system","content":%b},' % _encode(system) if system else b""
    before = b'{"model":%b,"messages":[%b{"role":"user","content":' % (_encode(model), first)
    match dialect.wire:
        case "openai":
            rest = _openai(dialect, tokens_max, schema, name)
        case "ollama":
            rest = _ollama(dialect, tokens_max, schema)
        case _:
            assert_never(dialect.wire)
    rest |= dialect.extras
    if template:
        given = rest.get("chat_template_kwargs")
        rest["chat_template_kwargs"] = {**(given if isinstance(given, dict) else {}), **template}
    return Body(before, b"}]," + _encode(rest)[1:])


def _openai(
    dialect: Dialect, tokens_max: int, schema: Mapping[str, Any] | None, name: str
) -> dict[str, object]:
    rest: dict[str, object] = {"temperature": 0, "max_tokens": tokens_max, "stream": dialect.is_streamed}
    if dialect.is_streamed:
        rest["stream_options"] = {"include_usage": True}
    if dialect.top_logprobs:
        rest |= {"logprobs": True, "top_logprobs": dialect.top_logprobs}
    if schema is not None:
        rest["response_format"] = response_format(schema, name, dialect.response_format)
    return rest


def _ollama(dialect: Dialect, tokens_max: int, schema: Mapping[str, Any] | None) -> dict[str, object]:
    """Ollama's own chat. It cuts what is too long unless told not to; then it answers 400, as others do."""
    options = {"temperature": 0, "num_predict": tokens_max}
    if dialect.context_tokens:
        # The same in every request: with another size it would load the model anew.
        options["num_ctx"] = dialect.context_tokens
    rest: dict[str, object] = {"stream": False, "truncate": False, "shift": False, "options": options}
    if dialect.top_logprobs:
        rest |= {"logprobs": True, "top_logprobs": dialect.top_logprobs}
    if schema is not None:
        rest["format"] = schema
    return rest


def response_format(schema: Mapping[str, Any], name: str, shape: ResponseFormat) -> dict[str, object]:
    """The schema in the engine's envelope; `strict`, because without it some only recommend it."""
    match shape:
        case "json_schema":
            return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}}
        case "schema":
            return {"type": "json_schema", "schema": schema}
        case "value":
            return {"type": "json_schema", "value": {"name": name, "schema": schema, "strict": True}}
        case _:
            assert_never(shape)
