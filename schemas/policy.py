"""The policy: what is forbidden, what is obvious, what to ask the model, what to do when it is late.

A policy is written in TOML, checked, and published whole and immutable under its digest. This module says its
shape; what rules do is in `streams.core.rules`, how a file is read and pushed in `infra.policies`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.event import Kind, Priority, Tenant
from schemas.verdict import Action, Digest

RuleMode = Literal["live", "shadow", "off"]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}\Z")]
Score = Annotated[float, Meta(ge=0.0, le=1.0)]
TtlSeconds = Annotated[int, Meta(ge=0, le=2_592_000)]
"""At most thirty days; 0: never."""
Late = Literal["hold", "allow_and_recheck", "review", "block"]
"""What to do with an event that nobody judged in time."""


class Label(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A harm category, and the scores from which a post carries it, is reviewed, is blocked."""

    name: Name
    description: Annotated[str, Meta(min_length=1, max_length=2_000)]
    label_at: Score = 0.5
    review_at: Score = 0.7
    block_at: Score = 0.9
    reuse_ttl_s: TtlSeconds | None = None
    """How long an answer with this label may stand for copies; without it the action's time counts alone."""
    late: Late | None = None
    """What to do with a late event that a live rule found to be this, but may not decide; otherwise
    `late_action`."""


class ReuseTtl(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an answer may stand for copies of its text, by what it led to."""

    allow_s: TtlSeconds = 86_400
    label_s: TtlSeconds = 86_400
    review_s: TtlSeconds = 3_600
    """Short: a person is about to decide."""
    block_s: TtlSeconds = 604_800


class _Rule(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """What every fast-path rule has. A rule with the action `allow` needs no label."""

    id: Name
    action: Action
    label: str = ""
    mode: RuleMode = "live"
    canary_percent: Annotated[float, Meta(ge=0.0, le=100.0)] = 100.0
    """The share of contents for which a live rule is live; for the others it is in shadow."""
    kinds: tuple[Kind, ...] = ("moderate", "scan")
    matches: Annotated[tuple[str, ...], Meta(max_length=100)] = ()
    passes: Annotated[tuple[str, ...], Meta(max_length=100)] = ()


Term = Annotated[str, Meta(min_length=1, max_length=200)]


class TermsRule(_Rule, frozen=True, kw_only=True, tag="terms"):
    """Words or phrases."""

    terms: Annotated[tuple[Term, ...], Meta(min_length=1, max_length=20_000)]
    anywhere: bool = False
    """Within words, too; otherwise as whole words only."""
    evasion: bool = False
    """In disguise, too: lookalikes, digits for letters, spaced-out and repeated letters."""


Pattern = Annotated[str, Meta(min_length=1, max_length=2_000)]


class RegexRule(_Rule, frozen=True, kw_only=True, tag="regex"):
    """Patterns in RE2 syntax, compared with the folded form of the text."""

    patterns: Annotated[tuple[Pattern, ...], Meta(min_length=1, max_length=4_000)]


class LengthRule(_Rule, frozen=True, kw_only=True, tag="length"):
    """Very short Latin-script texts without digits or links: there is nothing in them to judge."""

    characters_max: Annotated[int, Meta(ge=1, le=64)]
    unless: Annotated[tuple[Term, ...], Meta(max_length=2_000)] = ()
    """Whole words or phrases with which even a short text is not harmless."""
    words: Annotated[tuple[Term, ...], Meta(max_length=20_000)] = ()
    """If there are any, only texts are harmless that consist of these words alone."""


class RepetitionRule(_Rule, frozen=True, kw_only=True, tag="repetition"):
    """One character, one word, or one line, repeated over and over."""

    run_min: Annotated[int, Meta(ge=5, le=10_000)] = 40
    word_share: Score = 0.9
    words_min: Annotated[int, Meta(ge=3, le=10_000)] = 12
    line_share: Score = 0.9
    lines_min: Annotated[int, Meta(ge=0, le=10_000)] = 0
    """0: lines are not compared."""


Domain = Annotated[str, Meta(min_length=1, max_length=253)]


class LinksRule(_Rule, frozen=True, kw_only=True, tag="links"):
    """More links than so many: to any place, or to some domains only."""

    domains: Annotated[tuple[Domain, ...], Meta(max_length=20_000)] = ()
    """Without any, all links count that are plainly links."""
    except_domains: Annotated[tuple[Domain, ...], Meta(max_length=20_000)] = ()
    subdomains: bool = True
    """Whether `a.example.com` is of `example.com`."""
    links_over: Annotated[int, Meta(ge=0, le=1_000)] = 0


class ShapeRule(_Rule, frozen=True, kw_only=True, tag="shape"):
    """What a text looks like; where several limits are given, all must be exceeded."""

    characters_min: Annotated[int, Meta(ge=1, le=10_000)] = 20
    """Of letters, for capitals; of characters that are not blank, for emoji."""
    capitals_share: Score | None = None
    emoji_share: Score | None = None
    mentions_over: Annotated[int, Meta(ge=0, le=1_000)] | None = None


class AllowRule(_Rule, frozen=True, kw_only=True, tag="allow"):
    """Authors of one tenant who are trusted, and contents that are known to be good."""

    authors: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=128)], ...], Meta(max_length=20_000)
    ] = ()
    tenant: Tenant = "default"
    """Whose authors they are: another tenant's `alice` is somebody else."""
    digests: Annotated[tuple[Digest, ...], Meta(max_length=20_000)] = ()
    """Content digests, as verdicts name them."""


class FloodRule(_Rule, frozen=True, kw_only=True, tag="flood"):
    """One author who writes more posts within a window than so many, by the records' timestamps."""

    posts_over: Annotated[int, Meta(ge=1, le=10_000)]
    window_s: Annotated[int, Meta(ge=1, le=86_400)]


Rule = TermsRule | RegexRule | LengthRule | RepetitionRule | LinksRule | ShapeRule | AllowRule | FloodRule


class Prompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of event: what the model is told about it, and how it is taken in."""

    kind: Kind
    text: Annotated[str, Meta(min_length=1, max_length=100_000)]
    priority: Priority | None = None
    """At most so urgent; the topic decides, and this may only lower it."""
    text_bytes_max: Annotated[int, Meta(ge=1, le=1_048_576)] | None = None
    """A text of more bytes is a dead letter; the setting of the same name still holds above it."""


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One whole, immutable policy document."""

    v: Literal[1] = 1
    id: Name
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    labels: Annotated[tuple[Label, ...], Meta(min_length=1, max_length=64)]
    prompts: Annotated[tuple[Prompt, ...], Meta(min_length=1, max_length=16)]
    rules: Annotated[tuple[Rule, ...], Meta(max_length=1_000)] = ()
    reuse_confidence: Score = 0.6
    reuse_ttl: ReuseTtl = ReuseTtl()
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
