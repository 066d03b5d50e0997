"""One kind of engine: what it needs to be asked, and where it tells how it is doing."""

from __future__ import annotations

from typing import Literal, NamedTuple

from streams.core.formats.decisions import Speller
from streams.core.requests import Dialect

CHAT_PATH = "/v1/chat/completions"
MODELS_PATH = "/v1/models"
DECISIONS_PATH = "/v1/decisions"

KEEP_ALIVE_S = 4.0
"""Less than the 5 s after which vLLM, SGLang and llama.cpp close an idle connection: we must be the
first, or a request meets a socket that is just being closed. The others keep theirs for longer."""


class Gauges(NamedTuple):
    """What an engine's `/metrics` calls its load; several names, where releases differ."""

    running: tuple[str, ...]
    waiting: tuple[str, ...]
    cache_usage: tuple[str, ...] = ()
    preemptions: tuple[str, ...] = ()


class Engine(NamedTuple):
    """One kind of engine."""

    dialect: Dialect = Dialect()
    chat_path: str = CHAT_PATH
    health_path: str = "/health"
    """Where it says whether it would take a question now; cheap to ask."""
    metrics_path: str = "/metrics"
    gauges: Gauges | None = None
    slots_path: str = ""
    """Where it tells how many slots it has (`total_slots`); empty: it does not, the settings say."""
    urgent_first: Literal["lowest", "highest"] | None = None
    """Which figure its `priority` field serves first, where it has one. It must be switched on there: vLLM
    refuses any but 0 otherwise, SGLang ignores it."""
    decisions: Speller | None = None
    """How it spells `/v1/decisions`, where newer releases have it."""
    keep_alive_s: float = KEEP_ALIVE_S
    """How long we keep an idle connection; 0: each is for one request."""
    fills_templates: bool = False
    """Whether a request can give its chat template a variable, as ShieldGemma's guideline is given."""
    cuts_unsaid: bool = False
    """Whether it cuts what is longer than its context without a word; then nothing longer may be sent."""
    is_sequential: bool = False
    """Whether it runs its slots one after the other rather than as one growing batch."""
