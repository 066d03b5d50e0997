"""The ways in which a node can be asked for scores, by its settings and by what its engine knows.

Pure. Which of them it knows in truth, the client finds out with its first answer.
"""

from __future__ import annotations

from typing import NamedTuple

from infra.errors import ExitCode, Failure
from infra.nodes.engines.table import ENGINES
from schemas.settings import NodeSettings
from streams.core.requests import Dialect


class Way(NamedTuple):
    """One way to come by scores; a node has some, the best first, until it has shown which it knows."""

    name: str
    dialect: Dialect


def ways_of(settings: NodeSettings) -> tuple[Way, ...]:
    """The ways to try, the one that is wished for first; words are understood by all."""
    _check_template(settings)
    engine = ENGINES[settings.kind]
    measured = engine.dialect
    if measured.wire == "ollama":
        measured = measured._replace(context_tokens=settings.context_tokens)
    words = Way("words", measured._replace(top_logprobs=0))
    logprobs = (Way("logprobs", measured),) if measured.top_logprobs else ()
    match settings.confidence:
        case "words":
            return (words,)
        case "logprobs":
            return (*logprobs, words)
        case "decisions":
            by_decisions = (Way("decisions", measured),) if engine.decisions else ()
            return (*by_decisions, *logprobs, words)


def _check_template(settings: NodeSettings) -> None:
    """An engine that passes over the guideline would judge by none, and nobody would know."""
    if settings.format == "shield_gemma" and not ENGINES[settings.kind].fills_templates:
        known = ", ".join(kind for kind, engine in ENGINES.items() if engine.fills_templates)
        raise Failure(
            f"settings: nodes: {settings.known_as}: the format shield_gemma needs an engine that fills "
            f"variables of chat templates ({known}), and {settings.kind} is none.",
            exit_code=ExitCode.USAGE,
        )
