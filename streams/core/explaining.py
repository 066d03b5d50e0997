"""Why triage decided as it did: which rules match a text, and on which span of the original.

For people who write rules. It looks for each rule by itself, and leads every place back to the original, and
so takes many times as long as triage, whose findings it repeats with their places.
"""

from __future__ import annotations

from typing import assert_never

from schemas.event import Kind
from schemas.policy import LengthRule, RegexRule, RepetitionRule, Rule, TermsRule
from streams.core.forms import Forms
from streams.core.matching import Terms, needles, span_of
from streams.core.rules import CompiledPolicy, Finding
from streams.core.traced import Span


def explain(text: str, compiled: CompiledPolicy, kind: Kind) -> tuple[Finding, ...]:
    """Triage's findings in a text, each with the span where its rule first matches."""
    forms = Forms(text)
    rules = {rule.id: rule for rule in compiled.policy.rules}
    return tuple(
        finding._replace(span=_span(rules[finding.rule_id], forms))
        for finding in compiled.findings(forms, kind)
    )


def _span(rule: Rule, forms: Forms) -> Span:
    """Where in the original a rule first matches; all of it, for rules about the text's shape."""
    match rule:
        case TermsRule():
            terms = Terms((needle, 0) for term in rule.terms for needle in needles(term))
            spans = [forms.span(place.form, place.start, place.end) for place in terms.places(forms)]
        case RegexRule():
            places = [span_of(pattern, forms.folded.text) for pattern in rule.patterns]
            spans = [forms.span("folded", *place) for place in places if place is not None]
        case LengthRule() | RepetitionRule():
            spans = []
        case _:
            assert_never(rule)
    whole = forms.span("folded", 0, len(forms.folded.text))
    return min(spans, default=whole)
