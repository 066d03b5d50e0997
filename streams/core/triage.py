"""The fast path's decision: findings and policy to `Decided` or `Undecided`. It publishes nothing.

The first of these that applies decides; the order of the rules plays no part.
1. Bans, accounts, the site's health, probes and events to be judged once more are for a model: never decided.
2. A rule knows this very content as good: allowed. Its digest covers the context, and what is hidden, too.
3. A rule found something to block, review or label: the gravest action, with the labels of all such findings.
4. A rule trusts the author, and nothing in the text hides: allowed.
5. A rule found the text harmless, nothing in it hides, and nothing beside it could turn its meaning: allowed.
6. Else undecided. Shadow rules never change any of this; what they found rides along.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_never

import msgspec

from schemas.event import AnalyzeUser, Event, HealthCheck, Moderate, ReviewBan, Scan
from schemas.verdict import Action
from streams.core.flooding import FloodMeter
from streams.core.rules import CompiledPolicy, Finding
from streams.core.subjects import subject_of

GRAVITY: tuple[Action, ...] = ("block", "review", "label", "allow")
"""The gravest first."""


class Decided(msgspec.Struct, frozen=True, gc=False):
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


class Undecided(msgspec.Struct, frozen=True, gc=False):
    """What a judge should know about a text that the rules left open."""

    flags: tuple[str, ...] = ()
    obfuscation: float = 0.0
    shadow_hits: tuple[str, ...] = ()
    suspected: tuple[str, ...] = ()
    """Labels that live rules found where they may not decide, in the order of the policy's rules."""


def triage(
    event: Event,
    compiled: CompiledPolicy,
    *,
    digest: str = "",
    at_ms: int = 0,
    meter: FloodMeter | None = None,
    count: Callable[[Sequence[Finding]], None] | None = None,
) -> Decided | Undecided:
    """Decide the obvious.

    Without the content's digest no rule on canary is live and no content is known; without the meter of its
    partition no post belongs to a flood. `count` is told of all findings, once for an event.
    """
    is_first = not event.probe and event.rejudge is None
    # What is asked a second time was not written a second time.
    subject = subject_of(event, digest=digest, at_ms=at_ms, meter=meter if is_first else None)
    match event:
        case Moderate() | Scan():
            found = compiled.findings(subject)
        case ReviewBan() | AnalyzeUser() | HealthCheck():
            found = []
        case _:
            assert_never(event)
    if found:
        if count is not None:
            count(found)
        if is_first:
            deciding = decide(found, hides=bool(subject.forms.flags), has_context=bool(event.context))
            if deciding:
                return _decided(deciding, shadow_hits(found))
    forms = subject.forms
    if not found:
        return Undecided(forms.flags, forms.obfuscation)
    return Undecided(forms.flags, forms.obfuscation, shadow_hits(found), _suspected(found))


def decide(found: Sequence[Finding], *, hides: bool, has_context: bool) -> Sequence[Finding]:
    """The findings on which the verdict stands: of one sort, the first of the order above; none: undecided.

    "Yes, do it" is harmless by itself, but not below every question: with a context only a model may allow
    what a rule found harmless.
    """
    live = [finding for finding in found if finding.mode == "live"]
    known = [finding for finding in live if finding.ground == "digest"]
    if known:
        return known
    harm = [finding for finding in live if finding.action != "allow"]
    if harm:
        return harm
    if hides:
        return ()
    return [finding for finding in live if finding.ground == "author" or not has_context]


def shadow_hits(found: Sequence[Finding]) -> tuple[str, ...]:
    """The rules in shadow that matched."""
    return tuple(finding.rule_id for finding in found if finding.mode == "shadow")


def _suspected(found: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.label for one in found if one.mode == "live" and one.label))


def _decided(deciding: Sequence[Finding], shadows: tuple[str, ...]) -> Decided:
    rule_ids = tuple(finding.rule_id for finding in deciding)
    return Decided(
        action=min((finding.action for finding in deciding), key=GRAVITY.index),
        labels=tuple(dict.fromkeys(finding.label for finding in deciding if finding.label)),
        reasons=tuple(f"rule:{rule_id}" for rule_id in rule_ids),
        rule_ids=rule_ids,
        shadow_hits=shadows,
    )
