"""Why triage decided as it did: which rules match a post, in which form, and on which span of the original.

For people who write rules. It looks for each rule by itself, and leads every place back to the original, and
so takes many times as long as triage, whose findings it repeats with their places.
"""

from __future__ import annotations

from typing import NamedTuple

from schemas.policy import LinksRule, RegexRule, Rule, TermsRule
from streams.core.families import needles_of
from streams.core.forms import FormName, Forms
from streams.core.links import domains_of, is_of, links_of
from streams.core.matching import Terms, span_of
from streams.core.rules import CompiledPolicy, Finding
from streams.core.subjects import Subject
from streams.core.traced import Span


class Explained(NamedTuple):
    """One finding, and where it comes from."""

    finding: Finding
    form: FormName | None
    """The form of the text in which the rule matched; None: not by a part of the text."""
    span: Span
    """Of the original; all of it, for rules about more than a part."""


def explain(subject: Subject, compiled: CompiledPolicy) -> tuple[Explained, ...]:
    """Triage's findings in a post, each with the place where its rule first matches."""
    rules = {rule.id: rule for rule in compiled.policy.rules}
    forms = subject.forms
    return tuple(_explained(finding, rules[finding.rule_id], forms) for finding in compiled.findings(subject))


def _explained(finding: Finding, rule: Rule, forms: Forms) -> Explained:
    form, span = min(
        _places(rule, forms),
        key=lambda place: place[1],
        default=(None, (0, len(forms.text))),
    )
    return Explained(finding, form, span)


def _places(rule: Rule, forms: Forms) -> list[tuple[FormName | None, Span]]:
    match rule:
        case TermsRule():
            terms = Terms((needle, 0) for needle in needles_of(rule))
            return [
                (place.form, forms.span(place.form, place.start, place.end)) for place in terms.places(forms)
            ]
        case RegexRule():
            found = [span_of(pattern, forms.folded.text) for pattern in rule.patterns]
            return [("folded", forms.span("folded", *place)) for place in found if place is not None]
        case LinksRule():
            return [("folded", forms.span("folded", *place)) for place in _places_of_links(rule, forms)]
        case _:
            return []


def _places_of_links(rule: LinksRule, forms: Forms) -> list[Span]:
    """Where the hosts stand that count, as far as they are written as they are read."""
    domains, folded = domains_of(rule.domains), forms.folded.text
    counted = [
        link.host
        for link in links_of(folded)
        if (is_of(link.host, domains, subdomains=rule.subdomains) if domains else link.is_plain)
    ]
    return [(at, at + len(host)) for host in counted if (at := folded.find(host)) >= 0]
