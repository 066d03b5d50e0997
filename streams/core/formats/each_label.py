"""What two formats have in common that ask about each label of a policy by itself."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.verdict import ScoredLabel
from streams.core.answers import Judgement, by_score, certainty
from streams.core.weighing import MENTION_FROM


def judgement_of(scores: Mapping[str, float], mass: float) -> Judgement:
    """The labels that are likely enough to be mentioned; sure is what the likeliest of all is."""
    labels = tuple(
        ScoredLabel(name=name, score=round(score, 6))
        for name, score in scores.items()
        if score >= MENTION_FROM
    )
    return Judgement(by_score(labels), certainty(max(scores.values())), mass=mass)
