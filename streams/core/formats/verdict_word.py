"""The one word in which a guard model gives its verdict, and how likely each such word was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from streams.core.answers import UnusableAnswer
from streams.core.likelihood import UNMEASURED, joined, likelihood_at, rounded
from streams.core.replies import Reply

WORDS_LOGPROBS = 5
"""Alternatives to a token that are enough to find two or three words among them."""


class VerdictWord(NamedTuple):
    """What was said, and how likely each word was."""

    said: str
    likely: Mapping[str, float]
    mass: float = 1.0

    def of(self, word: str) -> float:
        """The probability of a word."""
        return rounded(self.likely.get(word, 0.0))


def verdict_word(reply: Reply, lead: str, words: Sequence[str]) -> VerdictWord:
    """The word behind the lead, or at the beginning where there is none; or `UnusableAnswer`."""
    found = reply.content.find(lead)
    rest = reply.content[found + len(lead) :].lstrip() if found >= 0 else ""
    # The longest first: `unsafe` is not `un`.
    said = next((word for word in sorted(words, key=len, reverse=True) if rest.startswith(word)), None)
    if said is None or rest[len(said) :][:1].isalnum():
        raise UnusableAnswer("unknown_name", "it does not begin with one of the words of its verdict")
    text = joined(reply.tokens)
    start = text.rfind(reply.content.strip().encode())
    if start >= 0:
        start = text.find(said.encode(), start + len(lead.encode()))
    likely = likelihood_at(reply.tokens, start, words) if start >= 0 else None
    if likely is None:
        return VerdictWord(said, {said: UNMEASURED})
    return VerdictWord(said, likely.of, likely.mass)
