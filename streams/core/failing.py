"""What to do about records at which a stage itself has failed: try again, condemn, or stop the worker.

A record is condemned only where others pass: then the fault is the record's. Where none passes, the stage
may be broken, and a backlog that became dead letters would be worse than one that waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a stage may fail at everything."""

    tries_max: int = 6
    wait_ms_first: float = 200.0
    wait_ms_max: float = 5_000.0
    """The pauses double: with six tries they are 0.2 + 0.4 + 0.8 + 1.6 + 3.2 = 6.2 s together."""
    unwitnessed_max: int = 3
    """Records that may be condemned in a row although no other passed: enough for one that comes alone in a
    quiet hour, too few for a backlog.
    """


class Trial(NamedTuple):
    """How often a record was tried, and whether another has passed between two of its failures."""

    tries: int
    is_witnessed: bool


@dataclass(frozen=True, slots=True)
class Again:
    """Condemn these, by their positions, and try the others once more after a pause."""

    condemned: tuple[int, ...]
    unwitnessed: int
    """How many of them no other record has spoken against."""
    wait_ms: float


@dataclass(frozen=True, slots=True)
class Hopeless:
    """The stage fails at everything: nobody is condemned."""


def weigh(trials: Sequence[Trial], patience: Patience, *, unwitnessed: int) -> Again | Hopeless:
    """Decide about records after a round in which each of them was tried.

    `unwitnessed` were condemned since a record passed last.

    1. Another has passed between two of its failures: it is condemned.
    2. None has, and it was not tried often enough yet: it is tried again.
    3. None has, after all its tries: these few are condemned, or they are too many, and the stage is broken.
    """
    guilty = [at for at, trial in enumerate(trials) if trial.is_witnessed]
    exhausted = [
        at for at, trial in enumerate(trials) if not trial.is_witnessed and trial.tries >= patience.tries_max
    ]
    if exhausted and unwitnessed + len(exhausted) > patience.unwitnessed_max:
        return Hopeless()
    tries = max((trial.tries for trial in trials), default=1)
    return Again((*guilty, *exhausted), len(exhausted), pause_ms(tries, patience))


def pause_ms(tries: int, patience: Patience) -> float:
    """How long to wait before the next try; the second one comes at once."""
    if tries < 2:
        return 0.0
    return min(patience.wait_ms_first * 2.0 ** min(tries - 2, 30), patience.wait_ms_max)
