"""Why triage decided as it did: which rules match a text, and on which span of the original.

For people who write rules. It looks for each rule by itself, in a form that remembers where each character
came from, and so takes many times as long as triage, whose findings it repeats with their places.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import assert_never

from schemas.event import Kind
from schemas.policy import LengthRule, RegexRule, RepetitionRule, Rule, TermsRule
from streams.core.matching import span_of, term_needle, words_with_spans
from streams.core.normalise import fold_segments
from streams.core.rules import CompiledPolicy, Finding

Span = tuple[int, int]


def explain(text: str, compiled: CompiledPolicy, kind: Kind) -> tuple[Finding, ...]:
    """Triage's findings in a text, each with the span where its rule first matches."""
    traced = TracedText(text)
    rules = {rule.id: rule for rule in compiled.policy.rules}
    return tuple(
        finding._replace(span=traced.original(_place(rules[finding.rule_id], traced.folded)))
        for finding in compiled.findings(traced.folded, kind)
    )


class TracedText:
    """A text, its folded form, and the way back."""

    def __init__(self, text: str) -> None:
        self._segments = fold_segments(text)
        self._starts: list[int] = []
        at = 0
        for piece, _, _ in self._segments:
            self._starts.append(at)
            at += len(piece)
        self.folded = "".join(piece for piece, _, _ in self._segments)

    def original(self, place: Span) -> Span:
        """The smallest span of the original that folds to this part of the folded text, and maybe to more."""
        start, end = place
        if start >= end or not self._segments:
            return (0, 0)
        # Pieces that fold to nothing start where the next one does: of equal starts the last has the text.
        first = bisect_right(self._starts, start) - 1
        last = bisect_left(self._starts, end) - 1
        return self._segments[first][1], self._segments[last][2]


def _place(rule: Rule, folded: str) -> Span:
    """Where in the folded text a rule first matches; all of it, for rules about the text's shape."""
    match rule:
        case TermsRule():
            places = [_place_of_term(term, folded) for term in rule.terms]
        case RegexRule():
            places = [span_of(pattern, folded) for pattern in rule.patterns]
        case LengthRule() | RepetitionRule():
            places = []
        case _:
            assert_never(rule)
    return min((place for place in places if place is not None), default=(0, len(folded)))


def _place_of_term(term: str, folded: str) -> Span | None:
    """Where a term stands, from the beginning of its first word to the end of its last.

    Words are put back together as `words_form` does, with the place in the folded text of every character.
    """
    letters = [" "]
    places = [(0, 0)]
    for word, start, end in words_with_spans(folded):
        letters += [*word, " "]
        places += [*((at, at + 1) for at in range(start, end)), (end, end)]
    needle = term_needle(term)
    at = "".join(letters).find(needle)
    if at < 0:
        return None
    inside = places[at : at + len(needle)]
    return inside[1 if needle.startswith(" ") else 0][0], inside[-1][1]
