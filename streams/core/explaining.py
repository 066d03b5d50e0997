"""Why triage decided as it did: which rules match a post, in which form, and on which span of the original.

For people who write rules. It looks for each rule by itself, and leads every place back to the original, and
so takes many times as long as triage, whose findings it repeats with their places.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from schemas.policy import LinksRule, RegexRule, Rule, TermsRule
from streams.core.families import counts, needles_of
from streams.core.forms import FormName, Forms
from streams.core.links import domains_of, links_of
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
    if not (places := _places(rule, forms)):
        return Explained(finding, None, (0, len(forms.text)))
    form, span = min(places, key=lambda place: place[1])
    return Explained(finding, form, span)


def _places(rule: Rule, forms: Forms) -> list[tuple[FormName, Span]]:
    """In each form in which the rule matches, one place of the original."""
    match rule:
        case TermsRule():
            terms = Terms((needle, 0) for needle in needles_of(rule))
            return [
                (place.form, forms.span(place.form, place.start, place.end))
                for place in terms.first_places(forms)
            ]
        case RegexRule():
            found = [span_of(pattern, forms.folded.text) for pattern in rule.patterns]
            first = min((place for place in found if place is not None), default=None)
            return [] if first is None else [("folded", forms.span("folded", *first))]
        case LinksRule():
            place = _place_of_links(rule, forms.folded.text)
            return [] if place is None else [("folded", forms.span("folded", *place))]
        case _:
            return []


def _place_of_links(rule: LinksRule, folded: str) -> Span | None:
    """Where the first host stands that counts, as far as it is written as it is read."""
    domains, exceptions = domains_of(rule.domains), domains_of(rule.except_domains)
    hosts = dict.fromkeys(link.host for link in links_of(folded) if counts(link, rule, domains, exceptions))
    return min((place for host in hosts if (place := _place_of_host(host, folded)) is not None), default=None)


def _place_of_host(host: str, folded: str) -> Span | None:
    """Where a host is mentioned by itself; else, where no blank or sign parts it from a text, within that."""
    found = re.search(rf"(?<![\w.-]){re.escape(host)}(?![\w-]|\.\w)", folded)
    at = found.start() if found else folded.find(host)
    return (at, at + len(host)) if at >= 0 else None
