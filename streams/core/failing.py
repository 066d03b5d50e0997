"""What to do about records at which a stage itself has failed: try again, condemn, or stop the worker.

A record is condemned only where others pass: then the fault is the record's, most likely. Where none passes,
or where too many fail, the stage may be broken, and a backlog that became dead letters would be worse than
one that waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a stage may fail, and at how much."""

    tries_max: int = 7
    wait_ms_first: float = 200.0
    wait_ms_max: float = 5_000.0
    """The pauses double. The second try comes at once, so seven have five pauses between them: 0.2 + 0.4 +
    0.8 + 1.6 + 3.2 = 6.2 s together.
    """
    tries_of_few: int = 3
    """So often one of a few is tried while others pass: at once, and after the first pause."""
    few_max: int = 3
    """More in a minute are no single bad records: the stage may stumble, and they get all tries."""
    unwitnessed_max: int = 3
    """Records that may be condemned in a row although no other passed: enough for one that comes alone in a
    quiet hour, too few for a backlog.
    """
    condemned_max: int = 60
    """Records that may be condemned in a minute, whoever passes: a release that is broken for one kind of
    them must not turn a backlog of that kind into dead letters.
    """


class Trial(NamedTuple):
    """How often a record was tried, and whether another has passed between two of its failures."""

    tries: int
    is_witnessed: bool
    is_pausing: bool = False
    """It was not tried in this round, and is not condemned before it was tried once more."""


@dataclass(frozen=True, slots=True)
class Again:
    """Condemn these, by their positions, and try the others once more after a pause."""

    condemned: tuple[int, ...]
    unwitnessed: int
    """How many of them no other record has spoken against."""


@dataclass(frozen=True, slots=True)
class Hopeless:
    """The stage fails at everything: nobody is condemned."""


@dataclass(frozen=True, slots=True)
class TooMany:
    """Others pass, and yet more would be condemned in a minute than may be: nobody is."""

    condemned: tuple[int, ...]
    """Who would be."""


def weigh(
    trials: Sequence[Trial], patience: Patience, *, unwitnessed: int, condemned_lately: int
) -> Again | Hopeless | TooMany:
    """Decide about the records of a step after a round in which some of them were tried.

    `unwitnessed` were condemned since a record passed last, `condemned_lately` within the last minute.

    1. Others have passed between the failures of a few: they are condemned after three tries.
    2. They are more than a few, or none has passed: they are tried again until they have had all tries.
    3. Then those against whom others speak are condemned; and those against whom nobody does, if they are
       few. If they are not, the stage is broken.
    4. More in a minute than may be are never condemned: the stage is broken for them.

    Each has pauses of its own, so that one comes to its end before another that fails like it. Where they
    would be too many together, nobody is condemned as long as some may still pass.
    """
    witnessed = [at for at, trial in enumerate(trials) if trial.is_witnessed]
    unspoken = [at for at, trial in enumerate(trials) if not trial.is_witnessed]
    are_few = condemned_lately + len(witnessed) <= patience.few_max
    tries_of_guilty = patience.tries_of_few if are_few else patience.tries_max
    guilty = [at for at in witnessed if trials[at].tries >= tries_of_guilty]
    exhausted = [at for at in unspoken if trials[at].tries >= patience.tries_max]
    if exhausted and unwitnessed + len(exhausted) > patience.unwitnessed_max:
        return Hopeless()
    if unwitnessed + len(unspoken) > patience.unwitnessed_max:
        exhausted = []
    ends = (*guilty, *exhausted)
    if ends and condemned_lately + len(ends) > patience.condemned_max:
        return TooMany(ends)
    if condemned_lately + len(witnessed) + len(exhausted) > patience.condemned_max:
        return Again((), 0)
    condemned = tuple(at for at in ends if not trials[at].is_pausing)
    return Again(condemned, len(set(condemned) & set(exhausted)))


def pause_ms(tries: int, patience: Patience) -> float:
    """How long to wait before the next try; the second one comes at once."""
    if tries < 2:
        return 0.0
    return min(patience.wait_ms_first * 2.0 ** min(tries - 2, 30), patience.wait_ms_max)
