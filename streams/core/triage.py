"""The fast path's decision: findings and policy to `Decided` or `Undecided`. It publishes nothing.

Of several findings the gravest decides: block, then review, then label, and only then allow.
1. Bans, accounts, the site's health, probes and events to be judged once more are for a model: never decided.
2. A rule found something to block, review or label: decided, with the labels of all such findings.
3. A rule found the text harmless, nothing in it hides, and nothing beside it could turn its meaning: allowed.
4. Else undecided. Shadow rules never change any of this; what they found rides along.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, assert_never

from schemas.event import AnalyzeUser, Event, HealthCheck, Moderate, ReviewBan, Scan
from schemas.verdict import Action
from streams.core.forms import Forms
from streams.core.normalise import Folded
from streams.core.rules import CompiledPolicy, Finding

GRAVITY: tuple[Action, ...] = ("block", "review", "label", "allow")
"""The gravest first."""


class Decided(NamedTuple):
    """What the rules decided, and why."""

    action: Action
    labels: tuple[str, ...]
    """In the order of the policy's rules."""
    reasons: tuple[str, ...]
    """Codes: `rule:` and the rule's id."""
    rule_ids: tuple[str, ...]
    """The rules that decided: those that found harm, or, where none did, those that found none."""
    shadow_hits: tuple[str, ...] = ()
    confidence: float = 1.0
    """A rule is certain: it matches or it does not."""


class Undecided(NamedTuple):
    """What a judge should know about a text that the rules left open."""

    flags: tuple[str, ...] = ()
    obfuscation: float = 0.0
    shadow_hits: tuple[str, ...] = ()


def triage(event: Event, compiled: CompiledPolicy) -> Decided | Undecided:
    """Decide the obvious."""
    forms = Forms(event.text)
    folded = forms.folded
    match event:
        case Moderate() | Scan():
            found = compiled.findings(forms, event.kind)
        case ReviewBan() | AnalyzeUser() | HealthCheck():
            return Undecided(folded.flags, folded.obfuscation)
        case _:
            assert_never(event)
    if not found:
        return Undecided(folded.flags, folded.obfuscation)
    shadow_hits = tuple(finding.rule_id for finding in found if finding.mode == "shadow")
    if not event.probe and event.rejudge is None:
        deciding = _deciding([finding for finding in found if finding.mode == "live"], event, folded)
        if deciding:
            return _decided(deciding, shadow_hits)
    return Undecided(folded.flags, folded.obfuscation, shadow_hits)


def _deciding(live: Sequence[Finding], event: Event, folded: Folded) -> Sequence[Finding]:
    """The findings on which the verdict stands: all that found harm, or else those that found none.

    "Yes, do it" is harmless by itself, but not below every question: with a context only a model may allow.
    """
    harm = [finding for finding in live if finding.action != "allow"]
    if harm:
        return harm
    return live if not folded.flags and not event.context else ()


def _decided(deciding: Sequence[Finding], shadow_hits: tuple[str, ...]) -> Decided:
    rule_ids = tuple(finding.rule_id for finding in deciding)
    return Decided(
        action=min((finding.action for finding in deciding), key=GRAVITY.index),
        labels=tuple(dict.fromkeys(finding.label for finding in deciding if finding.label)),
        reasons=tuple(f"rule:{rule_id}" for rule_id in rule_ids),
        rule_ids=rule_ids,
        shadow_hits=shadow_hits,
    )
