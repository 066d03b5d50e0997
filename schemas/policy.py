"""The policy: what is forbidden, what is obvious, what to ask the model, what to do when it is late.

A policy is written in TOML, checked, and published whole and immutable under its digest. This module says its
shape; what rules do is in `streams.core.rules`, how a file is read and pushed in `infra.policies`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.event import Kind
from schemas.verdict import Action, Digest

RuleMode = Literal["live", "shadow", "off"]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}\Z")]
Score = Annotated[float, Meta(ge=0.0, le=1.0)]


class Label(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A harm category, and the scores from which a post carries it, is reviewed, is blocked."""

    name: Name
    description: Annotated[str, Meta(min_length=1, max_length=2_000)]
    label_at: Score = 0.5
    review_at: Score = 0.7
    block_at: Score = 0.9


class _Rule(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """What every fast-path rule has. A rule with the action `allow` needs no label."""

    id: Name
    action: Action
    label: str = ""
    mode: RuleMode = "live"
    kinds: tuple[Kind, ...] = ("moderate", "scan")
    matches: Annotated[tuple[str, ...], Meta(max_length=100)] = ()
    passes: Annotated[tuple[str, ...], Meta(max_length=100)] = ()


Term = Annotated[str, Meta(min_length=1, max_length=200)]


class TermsRule(_Rule, frozen=True, kw_only=True, tag="terms"):
    """Whole words or phrases, compared in the folded form of the text."""

    terms: Annotated[tuple[Term, ...], Meta(min_length=1, max_length=20_000)]


Pattern = Annotated[str, Meta(min_length=1, max_length=2_000)]


class RegexRule(_Rule, frozen=True, kw_only=True, tag="regex"):
    """Patterns in RE2 syntax, compared with the folded form of the text."""

    patterns: Annotated[tuple[Pattern, ...], Meta(min_length=1, max_length=4_000)]


class LengthRule(_Rule, frozen=True, kw_only=True, tag="length"):
    """Very short Latin-script texts without digits or links: there is nothing in them to judge."""

    characters_max: Annotated[int, Meta(ge=1, le=64)]
    unless: Annotated[tuple[Term, ...], Meta(max_length=2_000)] = ()
    """Whole words or phrases with which even a short text is not harmless."""


class RepetitionRule(_Rule, frozen=True, kw_only=True, tag="repetition"):
    """One character, or one word, repeated over and over."""

    run_min: Annotated[int, Meta(ge=5, le=10_000)] = 40
    word_share: Score = 0.9
    words_min: Annotated[int, Meta(ge=3, le=10_000)] = 12


Rule = TermsRule | RegexRule | LengthRule | RepetitionRule


class Prompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the model is told about one kind of event."""

    kind: Kind
    text: Annotated[str, Meta(min_length=1, max_length=100_000)]


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One whole, immutable policy document."""

    v: Literal[1] = 1
    id: Name
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    labels: Annotated[tuple[Label, ...], Meta(min_length=1, max_length=64)]
    prompts: Annotated[tuple[Prompt, ...], Meta(min_length=1, max_length=16)]
    rules: Annotated[tuple[Rule, ...], Meta(max_length=1_000)] = ()
    reuse_confidence: Score = 0.6
    late_action: Action = "review"
    """What is done with an event for which no model answered in time, or ever."""
    risk_label_at: Score = 0.5
    risk_review_at: Score = 0.75
    """The risk from which a person looks at an account. No risk blocks: that takes a post, or a person."""


class ActivePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Which document an id stands for now, and which it stood for before: `active/<id>` in `policy`."""

    v: Literal[1] = 1
    id: Name
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    digest: Digest
    history: Annotated[tuple[Digest, ...], Meta(max_length=1_000)] = ()
