"""What the guard models have in common: their own harms, and what those are called in policies.

A guard with a taxonomy of its own does not read the policy. Its harms are led to the policy's labels by name:
to those of the policy's labels that are called so or so. A harm that no label answers to is a label that the
policy does not know, and for a person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from schemas.event import Event, Kind
from schemas.policy import Policy
from schemas.verdict import ScoredLabel
from streams.core.answers import Judgement
from streams.core.control_words import parted
from streams.core.formats.asking import Asking, posts_only
from streams.core.replies import Reply
from streams.core.requests import Dialect, chat_body

ALIASES: Mapping[str, tuple[str, ...]] = {
    "violence": ("violence", "violent", "threats", "threat"),
    "illegal": ("illegal", "crime", "crimes", "regulated_goods", "drugs", "fraud", "scam"),
    "sex_crimes": ("sexual_violence", "sex_crimes", "sexual"),
    "minors": ("minors", "child_safety", "csam", "csae", "child_sexual_exploitation"),
    "defamation": ("defamation", "harassment"),
    "advice": ("advice", "misinformation"),
    "privacy": ("privacy", "doxxing", "pii", "personal_data"),
    "copyright": ("copyright", "intellectual_property"),
    "weapons": ("weapons", "dangerous", "violence"),
    "hate": ("hate", "hate_speech"),
    "self_harm": ("self_harm", "suicide", "self-harm"),
    "sexual": ("sexual", "nsfw", "adult", "nudity"),
    "elections": ("elections", "misinformation", "politics"),
    "abuse": ("abuse", "jailbreak", "injection"),
    "harassment": ("harassment", "bullying", "insults"),
}


OVERHEAD_BYTES = 4_096
"""What a guard's chat template says of the harms."""


def asking_of_guard(
    kind: Kind,
    model: str,
    dialect: Dialect,
    output_tokens_max: int,
    parse: Callable[[Sequence[Reply]], Judgement],
) -> Asking:
    """A guard that knows its harms by heart is shown the post, and nothing else."""
    posts_only(kind)
    return Asking(
        kind=kind,
        bodies=(chat_body(model, "", dialect, tokens_max=output_tokens_max),),
        show=plain_text,
        parse=parse,
        overhead_bytes=OVERHEAD_BYTES,
        output_tokens_max=output_tokens_max,
    )


def plain_text(event: Event) -> str:
    """The post as a guard sees it: what stands around it, and its text, as plain as guards are used to."""
    around = [f"{name}: {value}" for name, value in sorted(event.context.items())]
    return parted("\n".join((*around, event.text)))


def labels_for(harms: Sequence[str], score: float, policy: Policy) -> tuple[ScoredLabel, ...]:
    """The policy's labels for harms of a guard's, each with the one score that a guard gives."""
    known = [label.name for label in policy.labels]
    found: dict[str, None] = {}
    for harm in harms:
        # The first name that the policy has: the nearest.
        names = [name for name in ALIASES[harm] if name in known]
        found[names[0] if names else f"unmapped.{harm}"] = None
    return tuple(ScoredLabel(name=name, score=score) for name in found)
