"""The parts of engines' responses that are read; whatever else they hold is passed over."""

from __future__ import annotations

import msgspec


class Details(msgspec.Struct, frozen=True):
    """Of the prompt's tokens."""

    cached_tokens: int | None = None


class Usage(msgspec.Struct, frozen=True):
    """Tokens, as OpenAI counts them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: Details | None = None


class Alternative(msgspec.Struct, frozen=True):
    """What could have stood in a token's place."""

    token: str
    logprob: float | None
    bytes: list[int] | None = None


class Logprob(Alternative, frozen=True):
    """What did stand there."""

    top_logprobs: msgspec.Raw = msgspec.Raw()
    """Left as it came: twenty for each token, and the answer turns on one or two of these."""


class Logprobs(msgspec.Struct, frozen=True):
    """Of one choice."""

    content: list[Logprob] | None = None


class Message(msgspec.Struct, frozen=True):
    """Whole, or a piece of it."""

    content: str | None = None


class Choice(msgspec.Struct, frozen=True):
    """We ask for one."""

    message: Message
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class Completion(msgspec.Struct, frozen=True):
    """OpenAI's chat completion."""

    choices: list[Choice]
    usage: Usage | None = None


class PieceOfChoice(msgspec.Struct, frozen=True):
    """In a stream."""

    delta: Message
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class Chunk(msgspec.Struct, frozen=True):
    """One event of a stream."""

    choices: list[PieceOfChoice]
    usage: Usage | None = None


class OllamaMessage(msgspec.Struct, frozen=True):
    """What the model wrote."""

    content: str


class OllamaChat(msgspec.Struct, frozen=True):
    """Ollama's own chat."""

    message: OllamaMessage
    done: bool
    done_reason: str = ""
    logprobs: list[Logprob] | None = None
    prompt_eval_count: int = 0
    eval_count: int = 0


class Predicate(msgspec.Struct, frozen=True):
    """One answer of vLLM's."""

    name: str
    probability: float


class DecisionUsage(msgspec.Struct, frozen=True):
    """Tokens, as vLLM's decisions count them."""

    input_tokens: int = 0
    input_tokens_details: Details = Details(0)


class VllmDecisions(msgspec.Struct, frozen=True):
    """In the order of the questions, and by name."""

    answers: list[Predicate]
    usage: DecisionUsage = DecisionUsage()


class YesNo(msgspec.Struct, frozen=True):
    """The two probabilities; they sum to 1."""

    yes: float
    no: float


class SglangAnswer(msgspec.Struct, frozen=True):
    """One answer of SGLang's."""

    probabilities: YesNo
    label_mass: float


class SglangDecisions(msgspec.Struct, frozen=True):
    """By the questions' ids."""

    answers: dict[str, SglangAnswer]
    usage: Usage = Usage()
