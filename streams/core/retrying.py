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
    is_out: bool = False
    """The node is out: this fault or one before it was too much."""


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
SUSPECT_AFTER = 2
"""A question that was on nodes so often when they broke off is asked alone, so that it is seen to be it.

Once is no reason: whatever else was on that node would be asked alone, too.
"""
_REST_MS = 25.0
_REST_MS_MAX = 500.0


def is_the_questions(code: str) -> bool:
    """Whether a fault says something about what was asked, and not about who was asked."""
    return FAULTS.get(code, UNKNOWN_FAULT) == "question"


def after_fault(code: str, evidence: Evidence, *, attempts: int, attempts_max: int) -> Again | GiveUp:
    """What becomes of the question; `attempts` were made before this one."""
    made = attempts + is_charged(code, evidence)
    if code in HOPELESS or made >= attempts_max:
        return GiveUp(code, made)
    return Again(made)


def is_charged(code: str, evidence: Evidence) -> bool:
    """Whether the fault counts as an attempt of the question.

    1. One that the question never reached, or that is nobody's or the node's, does not.
    2. One that is the question's does, unless the node is out: then it has failed at several in a row.
    3. What breaks or falls silent with a single question on the node is held against that one.
    4. So is what happens to one question of a node that has answered others meanwhile, and goes on.
    """
    if not evidence.was_sent:
        return False
    match FAULTS.get(code, UNKNOWN_FAULT):
        case "nobody" | "node":
            return False
        case "question":
            return code in HOPELESS or not evidence.is_out
        case "either":
            is_kept = code == "node_timed_out" or not evidence.is_out
            return evidence.was_alone or (is_kept and evidence.others_answered)


NodeTrouble = Literal["none", "maybe", "certain"]


def node_trouble(code: str, evidence: Evidence, *, is_repeated: bool, was_cut: bool) -> NodeTrouble:
    """What the fault says of the node; it breaks (`core.breaker`) at once, or when it happens often.

    1. A node that is set up wrongly, or that nobody listens for, is of no use.
    2. A node that fell silent is of none either, unless it answered others meanwhile: a single slow answer
       among others says nothing. Where the question's own deadline cut the time short, it only may be.
    3. A connection that broke may be the node's end.
    4. So may an answer that is none, but not when it is the same question that got none here before.
    """
    match FAULTS.get(code, UNKNOWN_FAULT):
        case "nobody":
            return "none"
        case "node":
            return "certain"
        case "either" if code == "node_timed_out":
            return "none" if evidence.others_answered else "maybe" if was_cut else "certain"
        case "either":
            return "maybe" if evidence.was_sent else "certain"
        case "question":
            return "none" if is_repeated or code in HOPELESS else "maybe"


def backoff_ms(rests: int, chance: float) -> float:
    """How long a question rests that may not be tried again at once, for the budget is spent."""
    return min(_REST_MS * 2.0 ** min(rests, 10), _REST_MS_MAX) * chance
