"""The request and the response of a chat completion, as OpenAI's interface has them; nothing is served here.

Only what this node reads is decoded, and unknown fields are ignored, as engines do. A request that cannot be
understood is a `BadRequest` with a sentence for whoever wrote it.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from infra.nodes.reference.answering import Piece
from streams.core.answers import NOT_DECODABLE

MODEL = "penstock-reference-1"
PROMPT_MESSAGES_MAX = 64
TOP_LOGPROBS_MAX = 20


class BadRequest(Exception):
    """A request that this node will not serve, with the status and the code of the answer."""

    def __init__(self, sentence: str, *, status: int = 400, code: str = "invalid_request") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status
        self.code = code


class Part(msgspec.Struct, frozen=True):
    """A part of a message's content; only text is understood."""

    type: str
    text: str = ""


class Message(msgspec.Struct, frozen=True):
    """One message of the conversation."""

    role: str
    content: str | list[Part]

    @property
    def text(self) -> str:
        """The content as one text."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class ChatRequest(msgspec.Struct, frozen=True):
    """What is read of a request."""

    messages: Annotated[list[Message], Meta(min_length=1, max_length=PROMPT_MESSAGES_MAX)]
    model: str = MODEL
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=TOP_LOGPROBS_MAX)] | None = None
    n: Annotated[int, Meta(ge=1)] | None = None
    stream: bool | None = None

    @property
    def system(self) -> str:
        """All system messages: the part of a prompt that repeats."""
        return "\n".join(m.text for m in self.messages if m.role in {"system", "developer"})

    @property
    def content(self) -> str:
        """The last message of the user: what is to be judged."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")

    @property
    def output_tokens_max(self) -> int | None:
        """Where the answer is cut off."""
        return self.max_completion_tokens or self.max_tokens


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """An answer before it is put into the response's shape."""

    pieces: tuple[Piece, ...]
    finish_reason: str
    prompt_tokens: int
    cached_tokens: int

    @property
    def text(self) -> str:
        """What the pieces say together."""
        return "".join(piece.text for piece in self.pieces)


_decoder = msgspec.json.Decoder(ChatRequest)


def decode(body: bytes) -> ChatRequest:
    """The request, or a `BadRequest`."""
    try:
        request = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise BadRequest(f"The request has another shape than it should: {_printable(error)}.") from None
    except NOT_DECODABLE:
        raise BadRequest("The request's body is not JSON.") from None
    _check(request)
    return request


def schema_of(response_format: dict[str, Any] | None) -> dict[str, Any] | None:
    """The JSON Schema asked for, in whichever envelope: OpenAI's, llama.cpp's or TGI's; None: no schema."""
    if response_format is None:
        return None
    match response_format:
        case {"type": "text" | "json_object"}:
            return None
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return schema
        case {"type": "json_schema", "schema": dict(schema)}:
            return schema
        case {"type": "json_schema", "value": {"schema": dict(schema)}}:
            return schema
        case {"type": "json_schema"}:
            raise BadRequest("A response_format of type json_schema needs a schema, and there is none.")
        case _:
            raise BadRequest("The type of response_format must be text, json_object or json_schema.")


def encode(completion: Completion, request: ChatRequest, *, number: int, at_s: int) -> bytes:
    """The response's body."""
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": completion.text},
        "finish_reason": completion.finish_reason,
        "logprobs": None,
    }
    if request.logprobs:
        choice["logprobs"] = {
            "content": [_logprobs(piece, request.top_logprobs or 0) for piece in completion.pieces]
        }
    output_tokens = len(completion.pieces)
    return msgspec.json.encode(
        {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": at_s,
            "model": MODEL,
            "choices": [choice],
            "usage": {
                "prompt_tokens": completion.prompt_tokens,
                "completion_tokens": output_tokens,
                "total_tokens": completion.prompt_tokens + output_tokens,
                "prompt_tokens_details": {"cached_tokens": completion.cached_tokens},
            },
        }
    )


def encode_error(sentence: str, *, status: int, code: str) -> bytes:
    """An error in the shape that clients of OpenAI's interface read."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return msgspec.json.encode({"error": {"message": sentence, "type": kind, "param": None, "code": code}})


def _check(request: ChatRequest) -> None:
    if request.stream:
        raise BadRequest("This node does not stream: send stream false, or leave it out.")
    if request.n not in {None, 1}:
        raise BadRequest("This node gives one answer to a request: n must be 1.")
    if request.top_logprobs and not request.logprobs:
        raise BadRequest("top_logprobs needs logprobs to be true.")
    if request.model not in {"", MODEL}:
        raise BadRequest(
            f"There is no such model here; there is {MODEL}.", status=404, code="model_not_found"
        )
    if not any(message.role == "user" for message in request.messages):
        raise BadRequest("There is no message of the role user.")


def _logprobs(piece: Piece, top: int) -> dict[str, Any]:
    ranked = sorted(piece.alternatives.items(), key=lambda item: -item[1])[:top]
    return {
        **_logprob(piece.text, piece.logprob),
        "top_logprobs": [_logprob(text, logprob) for text, logprob in ranked],
    }


def _logprob(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def _printable(error: Exception) -> str:
    """A decoder's words, which may quote a tag of the sender's, shortened and without control characters."""
    return "".join(c if c.isprintable() else "?" for c in str(error))[:200]
