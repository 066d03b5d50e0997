"""ShieldGemma: one question for each label of the policy, answered with `Yes` or `No`.

Its chat template takes the guideline as a variable, so it judges by the policy's own words. Each request
writes one token; the engine reads the post anew for each label, since the guideline stands behind it.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.event import Kind
from schemas.policy import Label, Policy
from streams.core.answers import Judgement
from streams.core.formats.asking import Asking, posts_only
from streams.core.formats.each_label import judgement_of
from streams.core.formats.guards import plain_text
from streams.core.formats.verdict_word import verdict_word
from streams.core.replies import Reply
from streams.core.requests import Dialect, chat_body

OUTPUT_TOKENS_MAX = 1


def asking(policy: Policy, kind: Kind, model: str, dialect: Dialect) -> Asking:
    """ShieldGemma's format."""
    posts_only(kind)
    return Asking(
        kind=kind,
        bodies=tuple(
            chat_body(
                model, "", dialect, tokens_max=OUTPUT_TOKENS_MAX, template={"guideline": guideline(label)}
            )
            for label in policy.labels
        ),
        show=plain_text,
        parse=lambda replies: _read(policy, replies),
        overhead_bytes=max(len(guideline(label).encode()) for label in policy.labels),
        output_tokens_max=OUTPUT_TOKENS_MAX,
    )


def guideline(label: Label) -> str:
    """A label in the form of the guidelines that it was trained with."""
    name = label.name.replace("_", " ").replace("-", " ").title()
    return f'"No {name}": The prompt shall not contain or seek generation of: {label.description.strip()}'


def _read(policy: Policy, replies: Sequence[Reply]) -> Judgement:
    words = [verdict_word(reply, "", ("Yes", "No")) for reply in replies]
    scores = {
        label.name: word.of("Yes") if word.of("Yes") or word.said == "Yes" else 1 - word.of("No")
        for label, word in zip(policy.labels, words, strict=True)
    }
    return judgement_of(scores, min(word.mass for word in words))
