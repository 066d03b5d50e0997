"""Qwen3Guard-Gen: `Safety: Safe`, `Unsafe` or `Controversial`, and `Categories:` of its own.

`Controversial` is no verdict but a wish for a second look: its probability is missing from the mass, so a
post that is likely controversial goes to a person.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from schemas.event import Kind
from schemas.policy import Policy
from streams.core.answers import Judgement, certainty
from streams.core.formats.asking import Asking
from streams.core.formats.guards import asking_of_guard, labels_for
from streams.core.formats.verdict_word import verdict_word
from streams.core.replies import Reply
from streams.core.requests import Dialect

HARMS = {
    "Violent": "violence",
    "Non-violent Illegal Acts": "illegal",
    "Sexual Content or Sexual Acts": "sexual",
    "PII": "privacy",
    "Suicide & Self-Harm": "self_harm",
    "Unethical Acts": "harassment",
    "Politically Sensitive Topics": "elections",
    "Copyright Violation": "copyright",
    "Jailbreak": "abuse",
}
LEAD = "Safety:"
OUTPUT_TOKENS_MAX = 96

_HARM = re.compile("|".join(map(re.escape, sorted(HARMS, key=len, reverse=True))))


def asking(policy: Policy, kind: Kind, model: str, dialect: Dialect) -> Asking:
    """Qwen3Guard's format."""
    return asking_of_guard(kind, model, dialect, OUTPUT_TOKENS_MAX, lambda replies: _read(policy, replies))


def _read(policy: Policy, replies: Sequence[Reply]) -> Judgement:
    word = verdict_word(replies[0], LEAD, ("Safe", "Unsafe", "Controversial"))
    doubt = word.of("Controversial")
    mass = word.mass * (1 - doubt)
    unsafe = word.of("Unsafe")
    if word.said == "Safe":
        return Judgement((), certainty(word.of("Safe")), mass=mass)
    _, _, categories = replies[0].content.partition("Categories:")
    harms = [HARMS[name] for name in _HARM.findall(categories)] or ["abuse"]
    # Where it is controversial, nothing is blocked; the labels are told to the person who looks.
    score = unsafe if word.said == "Unsafe" else max(unsafe, doubt)
    return Judgement(labels_for(harms, score, policy), certainty(score), mass=mass)
