"""Which format is which: one literal table."""

from __future__ import annotations

from collections.abc import Callable

from schemas.event import Kind
from schemas.policy import Policy
from schemas.settings import FormatName
from streams.core.formats import general, llama_guard, qwen3_guard, safeguard, shield_gemma
from streams.core.formats.asking import Asking
from streams.core.requests import Dialect

FORMATS: dict[FormatName, Callable[[Policy, Kind, str, Dialect], Asking]] = {
    "general": general.asking,
    "llama_guard": llama_guard.asking,
    "shield_gemma": shield_gemma.asking,
    "qwen3_guard": qwen3_guard.asking,
    "gpt_oss_safeguard": safeguard.asking,
}
