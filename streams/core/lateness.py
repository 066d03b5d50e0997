"""What becomes of an event that nobody judged in time, as the policy says."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.policy import Late, Policy
from schemas.verdict import Action

_ACTIONS: dict[Late, Action] = {
    "block": "block",
    "review": "review",
    # A person looks, until late events can be held: nobody's post is let through because a node was slow.
    "hold": "review",
    "allow_and_recheck": "allow",
}
_GRAVITY: tuple[Late, ...] = ("block", "hold", "review", "allow_and_recheck")


def late_policy(policy: Policy, labels: Iterable[str]) -> Late | None:
    """What the suspected labels ask for, the gravest of it; None: none of them asks for anything.

    Suspected is what live rules found where they may not decide. What rules in shadow found is not asked:
    they change no verdict, a late one neither.
    """
    suspected = set(labels)
    asked = [label.late for label in policy.labels if label.name in suspected and label.late is not None]
    return min(asked, key=_GRAVITY.index, default=None)


def late_action(policy: Policy, labels: Iterable[str]) -> Action:
    """The action of the verdict that a late event gets."""
    late = late_policy(policy, labels)
    return policy.late_action if late is None else _ACTIONS[late]
