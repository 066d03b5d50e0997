"""What to do about a question that got no answer: the one place that knows what each fault means.

Some faults are the node's, some the question's, and some could be either: a node that dies takes along
whatever it was busy with, and one that hangs answers nobody. A question is charged with such a fault only on
evidence, so that an outage, however long, turns nothing into a dead letter, and a question that breaks every
node still ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Blame = Literal["nobody", "node", "question", "either"]


@dataclass(frozen=True, slots=True)
class Again:
    """Ask again, now: another node if there is one."""

    attempts: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further try can help."""

    code: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known when a question fails."""

    was_sent: bool = True
    """The node may have begun with it."""
    was_alone: bool = False
    """The node had nothing else to do from its dispatch on."""
    others_answered: bool = False
    """The node has answered another question since its dispatch."""


FAULTS: dict[str, Blame] = {
    "node_overloaded": "nobody",
    "node_unreachable": "either",
    "node_timed_out": "either",
    "node_bad_answer": "question",
    "node_refused": "question",
    "node_misconfigured": "node",
}
HOPELESS = frozenset({"node_refused"})
"""Faults after which another try is in vain."""
UNKNOWN_FAULT: Blame = "question"


def after_fault(code: str, evidence: Evidence, *, attempts: int, attempts_max: int) -> Again | GiveUp:
    """What becomes of the question; `attempts` were made before this one."""
    made = attempts + is_charged(code, evidence)
    if code in HOPELESS or made >= attempts_max:
        return GiveUp(code, made)
    return Again(made)


def is_charged(code: str, evidence: Evidence) -> bool:
    """Whether the fault counts as an attempt of the question.

    1. One that the question never reached, or that is nobody's or the node's, does not.
    2. One that is the question's does.
    3. A node that broke off is held against what it was busy with alone.
    4. A node that fell silent is held against the question if it went on answering others, or had no others.
    """
    if not evidence.was_sent:
        return False
    match FAULTS.get(code, UNKNOWN_FAULT):
        case "nobody" | "node":
            return False
        case "question":
            return True
        case "either":
            return evidence.was_alone or (code == "node_timed_out" and evidence.others_answered)


def is_out(code: str, evidence: Evidence) -> bool:
    """Whether the node gets nothing more until a probe finds it well."""
    match FAULTS.get(code, UNKNOWN_FAULT):
        case "node":
            return True
        case "either":
            # A single slow answer among others says nothing against the node.
            return code != "node_timed_out" or not evidence.others_answered
        case "nobody" | "question":
            return False
