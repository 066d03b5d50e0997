"""The reference scorer's answers to the kinds beside posts: appeals, accounts, and the state of a site.

Built on `streams.core.weighing` alone. Like there, every figure is computed from what was found and nothing
else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from streams.core.weighing import categories_of, folded_words, log_odds, logistic, score, softmax

UNCLEAR_LOGIT = 0.5
"""Between upholding and overturning there is a band of evidence, about 0.4 to 0.6, where neither is said."""

NO_EVIDENCE_LOGIT = 3.0
"""A ban without any evidence texts cannot be reviewed: the answer is unclear, with 0.9."""

REPETITION = "repetition"
LINKS = "links"
CAMPAIGN = "campaign"
SPIKE = "spike"
ACCOUNT_SIGNS = (REPETITION, LINKS)
SITE_SIGNS = (CAMPAIGN, SPIKE)

SPIKE_RATIO = 2.0
"""A figure that doubled against the one it is compared with is worth a look."""

COMMON_SHARE = 0.5
"""A sign is reported when it holds for half of the texts."""


class Account(NamedTuple):
    """How risky an account is, and by which codes."""

    risk: float
    reasons: tuple[str, ...]


class Site(NamedTuple):
    """What was found about a site, and how sure the finding is."""

    findings: tuple[str, ...]
    confidence: float


def review_ban(ground: str, evidence: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """How likely a ban was right (`uphold`), wrong (`overturn`), or cannot be told (`unclear`); sums to 1.

    Evidence counts for the labels that the ground names; where it names none, for any of them.
    """
    if not evidence:
        return softmax({"uphold": 0.0, "overturn": 0.0, "unclear": NO_EVIDENCE_LOGIT})
    named = labels_named(ground, labels) or tuple(labels)
    strongest = max(label.logit for text in evidence for label in score(text, named))
    return softmax({"uphold": strongest, "overturn": -strongest, "unclear": UNCLEAR_LOGIT})


def labels_named(ground: str, labels: Sequence[str]) -> tuple[str, ...]:
    """The labels that a sentence speaks of, by their own name or by another word for their category."""
    words = folded_words(ground.replace("_", " "))
    said = {category for word in (*words, "_".join(words)) for category in categories_of(word)}
    return tuple(label for label in labels if label in ground or said.intersection(categories_of(label)))


def analyze_user(posts: Sequence[str], labels: Sequence[str]) -> Account:
    """Risk: half way, in log-odds, from the mean post to the worst: one threat is not averaged away."""
    by_post = [score(post, labels) for post in posts]
    worst = [max((label.probability for label in scored), default=0.0) for scored in by_post]
    signs = _account_signs(posts)
    mean_logit = log_odds(_inside(math.fsum(worst) / max(1, len(worst))))
    worst_logit = log_odds(_inside(max(worst, default=0.0)))
    risk = logistic((mean_logit + worst_logit) / 2 + len(signs))
    seen = [
        name for name in labels if any(s.name == name and s.logit >= 0 for scored in by_post for s in scored)
    ]
    return Account(risk, (*seen, *signs))


def check_health(aggregates: Mapping[str, float], samples: Sequence[str], labels: Sequence[str]) -> Site:
    """Labels that a tenth of the samples carry, sampled texts that repeat, and figures that have doubled.

    A figure `x` is compared with the figure `x_before`, where there is one.
    """
    counts = dict.fromkeys(labels, 0)
    for sample in samples:
        for label in score(sample, labels):
            counts[label.name] += label.logit >= 0
    carried = [name for name, count in counts.items() if count and count * 10 >= len(samples)]
    campaign = [CAMPAIGN] if _is_repetitive(samples) else []
    spike = [SPIKE] if any(_has_doubled(aggregates, name) for name in aggregates) else []
    return Site((*carried, *campaign, *spike), _confidence_of(len(samples) + len(aggregates)))


def _account_signs(posts: Sequence[str]) -> tuple[str, ...]:
    with_links = sum(1 for post in posts if "http://" in post or "https://" in post)
    has_links = len(posts) >= 2 and with_links >= COMMON_SHARE * len(posts)
    return (*((REPETITION,) if _is_repetitive(posts) else ()), *((LINKS,) if has_links else ()))


def _is_repetitive(texts: Sequence[str]) -> bool:
    """Three texts or more, of which half at least are the same words as an earlier one."""
    distinct = {tuple(folded_words(text)) for text in texts}
    return len(texts) >= 3 and len(texts) - len(distinct) >= COMMON_SHARE * len(texts)


def _has_doubled(aggregates: Mapping[str, float], name: str) -> bool:
    before = aggregates.get(f"{name}_before")
    return before is not None and before > 0 and aggregates[name] >= SPIKE_RATIO * before


def _confidence_of(observations: int) -> float:
    """The rule of succession: with nothing seen one half, with much seen near one."""
    return (observations + 1) / (observations + 2)


def _inside(probability: float) -> float:
    """Kept off 0 and 1, where log-odds have no value."""
    return min(max(probability, 1e-6), 1 - 1e-6)
