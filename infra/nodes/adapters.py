"""What each engine needs to be asked: one frozen record per kind of node, in one literal table.

Data only. To teach Penstock an engine, add a row here and its name to `NodeSettings.kind`; the tests of the
client then ask it in its own way. CONTRIBUTING shows it step by step.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from streams.core.questions import Dialect

NodeKind = Literal["openai", "vllm", "sglang", "llamacpp", "ollama", "tgi", "penstock"]

CHAT_PATH = "/v1/chat/completions"
MODELS_PATH = "/v1/models"


class Adapter(NamedTuple):
    """One kind of engine."""

    dialect: Dialect = Dialect()
    health_path: str = "/health"
    """Where it says whether it would take a question now."""
    urgent_first: Literal["lowest", "highest"] | None = None
    """Which figure its `priority` field serves first, where it has one that must be switched on there."""
    is_sequential: bool = False
    """Whether it runs its slots one after the other rather than as one growing batch."""


# Models that think before they answer would spend the output limit on it; a template without such a switch
# ignores the field.
_NO_THINKING = {"chat_template_kwargs": {"enable_thinking": False}}

ADAPTERS: dict[NodeKind, Adapter] = {
    # Nothing but the list of models is common to all who speak OpenAI's interface.
    "openai": Adapter(health_path=MODELS_PATH),
    "vllm": Adapter(dialect=Dialect(extras=_NO_THINKING), urgent_first="lowest"),
    # Its /health generates a token and takes a second at least; /ready only looks.
    "sglang": Adapter(dialect=Dialect(extras=_NO_THINKING), health_path="/ready", urgent_first="highest"),
    "llamacpp": Adapter(dialect=Dialect(response_format="schema", extras=_NO_THINKING)),
    # It has no health page; the list of models is cheap and says whether ours is there.
    "ollama": Adapter(
        dialect=Dialect(extras={"reasoning_effort": "none"}), health_path=MODELS_PATH, is_sequential=True
    ),
    "tgi": Adapter(dialect=Dialect(response_format="value")),
    "penstock": Adapter(),
}
