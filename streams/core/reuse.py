"""How long an answer may stand for copies of its text, as the policy says. Nothing is kept here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from schemas.policy import Policy
from schemas.verdict import Action


def reuse_ttl_s(policy: Policy, action: Action, labels: Iterable[str]) -> int:
    """The time of the action, or of one of the labels where that is shorter; 0: not at all."""
    carried = set(labels)
    of_labels = (
        label.reuse_ttl_s
        for label in policy.labels
        if label.name in carried and label.reuse_ttl_s is not None
    )
    return min([_of_action(policy, action), *of_labels])


def _of_action(policy: Policy, action: Action) -> int:
    times = policy.reuse_ttl
    match action:
        case "allow":
            return times.allow_s
        case "label":
            return times.label_s
        case "review":
            return times.review_s
        case "block":
            return times.block_s
        case _:
            assert_never(action)
