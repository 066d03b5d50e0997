"""Whether a text may be talking to the model that judges it, instead of to people.

A suspicion costs nothing but inferences: who is suspected is judged as anybody else, each copy by itself, and
no answer is kept. So it errs on that side. It reads plain words in English, marks of chat templates, our own
answers' form, and what only a model would see; other languages pass it.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

import re2

from schemas.event import Event, texts_of
from streams.core.normalise import INVISIBLE, fold

# A few words between two that matter, so that `ignore all of the previous instructions` is found.
_GAP = r"\W+(?:\w+\W+){0,5}?"
_PATTERNS = (
    # Orders about orders.
    (
        rf"\b(?:ignore|disregard|forget|override|bypass|discard){_GAP}"
        r"(?:instructions?|prompts?|rules|guidelines|polic(?:y|ies)|directives?)\b"
    ),
    r"\b(?:system|developer|hidden|initial)\W+(?:prompts?|messages?|instructions?)\b",
    r"\b(?:new|updated|real|following)\W+instructions?\b",
    # Who it is told to be.
    r"\byou\W+are\W+(?:now|an?\W+(?:ai|assistant|language\W+model|moderator|classifier|chatbot))\b",
    r"\b(?:pretend|act)\W+(?:to\W+be|as\W+if|as\W+an?)\b",
    # What it is told to say.
    (
        rf"\b(?:respond|reply|answer|output|return|classify|label|rate|mark|judge|score){_GAP}"
        r"(?:none|harmless|safe|benign|allow(?:ed)?|compliant|json|percent|zero|0)\b"
    ),
    r'"(?:labels|name|percent|risk_percent|outcome|findings|reasons)"\s*:',
    # The marks between the roles of a chat.
    r"<\|?/?(?:im_start|im_end|system|user|assistant|end|eot_id|start_header_id|endoftext|s)\|?>",
    r"\[/?inst\]|<</?sys>>|(?:^|\n)\W*(?:system|assistant|developer)\s*:",
)


def is_suspect(event: Event, flags: Collection[str]) -> bool:
    """Whether any text of an event is; `flags` are what triage found in its main one."""
    if INVISIBLE in flags:
        return True
    shown = (*event.context, *(text for _, text in texts_of(event)))
    return any(_speaks_to_a_model(text) for text in shown if text)


def _speaks_to_a_model(text: str) -> bool:
    folded = fold(text)
    return INVISIBLE in folded.flags or bool(_set().Match(folded.text))


@cache
def _set() -> re2.Set:
    options = re2.Options()
    options.log_errors = False
    patterns = re2.Set.SearchSet(options)
    for pattern in _PATTERNS:
        patterns.Add(pattern)
    patterns.Compile()
    return patterns
