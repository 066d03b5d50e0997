"""What to do about a question that got no answer: the one place that knows what each fault means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
class Fault:
    """What a fault means: whether it counts as an attempt, and what becomes of the node."""

    is_attempt: bool
    node: Literal["keep", "slow_down", "take_out"]
    is_hopeless: bool = False


FAULTS: dict[str, Fault] = {
    "node_overloaded": Fault(is_attempt=False, node="slow_down"),
    "node_unreachable": Fault(is_attempt=True, node="take_out"),
    "node_timed_out": Fault(is_attempt=True, node="keep"),
    "node_bad_answer": Fault(is_attempt=True, node="keep"),
    "node_refused": Fault(is_attempt=True, node="keep", is_hopeless=True),
    "node_misconfigured": Fault(is_attempt=False, node="take_out"),
}
UNKNOWN_FAULT = Fault(is_attempt=True, node="keep")


def after_fault(code: str, *, attempts: int, attempts_max: int) -> Again | GiveUp:
    """`attempts` were made before this one."""
    fault = FAULTS.get(code, UNKNOWN_FAULT)
    made = attempts + fault.is_attempt
    if fault.is_hopeless or made >= attempts_max:
        return GiveUp(code, made)
    return Again(made)
