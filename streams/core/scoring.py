"""From the probabilities of labels to an action, under a policy's thresholds.

A model's answer is a set of probabilities and nothing else: what it wrote reaches neither the action nor the
reasons, which are codes of ours. The same post is not scored twice alike, since an engine's batch changes the
last digits; so right at a threshold beside `review`, a person looks, rather than the batch decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schemas.policy import Label, Policy
from schemas.verdict import Action, ScoredLabel
from streams.core.triage import GRAVITY

DEAD_BAND = 0.02
"""Two whole percents to the side of the milder neighbour at `review_at`, to that of the graver at `block_at`.

Between label and allow there is no band: a person is worth more than that difference, and a band there would
make a higher score the milder one.
"""

MASS_MIN = 0.9
"""Where less of a model's probability was on valid answers, it did not answer us: a person looks."""

LOW_MASS = "model:low_mass"
UNKNOWN_LABEL = "model:unknown_label"
NOTHING = "model:none"


class Scored(NamedTuple):
    """What is to be done about a post, which labels it carries, and why."""

    action: Action
    labels: tuple[ScoredLabel, ...]
    reasons: tuple[str, ...]


def score_post(labels: Sequence[ScoredLabel], policy: Policy) -> Scored:
    """The gravest action that any label's probability reaches.

    A label that the policy does not know has no thresholds: somebody should look, and its name goes nowhere.
    """
    thresholds = {label.name: label for label in policy.labels}
    carried: list[ScoredLabel] = []
    reasons: list[str] = []
    actions: list[Action] = ["allow"]
    for scored in labels:
        label = thresholds.get(scored.name)
        if label is None:
            actions.append("review")
            reasons.append(UNKNOWN_LABEL)
        elif (action := action_at(scored.score, label)) != "allow":
            actions.append(action)
            reasons.append(f"model:{label.name}")
            carried.append(scored)
    gravest = min(actions, key=GRAVITY.index)
    return Scored(gravest, tuple(carried), tuple(reasons) or (NOTHING,))


def action_at(score: float, label: Label) -> Action:
    """What a label's probability leads to. A higher one never leads to a milder action."""
    # Rounded, for 0.9 + 0.02 is a little more than 0.92.
    if score >= min(1.0, round(label.block_at + DEAD_BAND, 9)):
        return "block"
    if score >= round(label.review_at - DEAD_BAND, 9):
        return "review"
    return "label" if score >= label.label_at else "allow"
