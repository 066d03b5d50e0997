"""Llama Guard 3: `safe`, or `unsafe` and on the next line the codes of its own harms.

Its chat template brings the task and the harms; we send the post alone, and no schema: it was trained to
write this form and no other. The probability of its first word is that of the post being unsafe.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.event import Kind
from schemas.policy import Policy
from streams.core.answers import Judgement, UnusableAnswer, certainty
from streams.core.formats.asking import Asking
from streams.core.formats.guards import asking_of_guard, labels_for
from streams.core.formats.verdict_word import verdict_word
from streams.core.replies import Reply
from streams.core.requests import Dialect

HARMS = {
    "S1": "violence",
    "S2": "illegal",
    "S3": "sex_crimes",
    "S4": "minors",
    "S5": "defamation",
    "S6": "advice",
    "S7": "privacy",
    "S8": "copyright",
    "S9": "weapons",
    "S10": "hate",
    "S11": "self_harm",
    "S12": "sexual",
    "S13": "elections",
    "S14": "abuse",
}
OUTPUT_TOKENS_MAX = 64
"""All fourteen codes take some forty."""


def asking(policy: Policy, kind: Kind, model: str, dialect: Dialect) -> Asking:
    """Llama Guard's format."""
    return asking_of_guard(kind, model, dialect, OUTPUT_TOKENS_MAX, lambda replies: _read(policy, replies))


def _read(policy: Policy, replies: Sequence[Reply]) -> Judgement:
    lines = replies[0].content.split()
    word = verdict_word(replies[0], "", ("safe", "unsafe"))
    codes = [code for code in ",".join(lines[1:]).split(",") if code]
    if word.said == "safe":
        if codes:
            raise UnusableAnswer("wrong_shape", "harms of a safe post")
        return Judgement((), certainty(word.of("safe")), mass=word.mass)
    if any(code not in HARMS for code in codes):
        raise UnusableAnswer("unknown_name", "a code that is none of its harms")
    harms = [HARMS[code] for code in codes] or ["abuse"]
    unsafe = word.of("unsafe")
    return Judgement(labels_for(harms, unsafe, policy), certainty(unsafe), mass=word.mass)
