"""What the copies and the commits say, once a trial is over: lost, repeated, and whether a cut explains it.

Pure: judges what others have read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

from chaos.numbers import Copy, Place, ends_of, offsets_of, place_of

# The broker's clock counts whole milliseconds.
_CLOCK_MS = 1.0
# From the moment that the test notes to the moment that the broker writes no more.
_DYING_MS = 500.0


class Told(NamedTuple):
    """A worker heard that its copy of a number was written."""

    maker: str
    number: int
    at_ms: float
    """By this machine's clock."""


class Sample(NamedTuple):
    """What the brokers said that the group had committed."""

    taken_at_ms: float
    """Just after the answer came, by this machine's clock."""
    committed: Mapping[Place, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The sentence over one trial."""

    events: int
    lost: Sequence[int]
    """Numbers without a copy."""
    misplaced: Sequence[Copy]
    """Copies that do not tell the truth about their original."""
    repeated: int
    """Copies beyond the first."""
    unexplained: Sequence[str]
    """Numbers with more than one copy, though nobody cut off their makers, nor a broker as it wrote them,
    nor gave up waiting for it.
    """
    went_back: Sequence[str]
    """Commits below an earlier one."""
    ran_ahead: Sequence[str]
    """Commits beyond what was in the output when they were seen."""
    samples: int


def audit(
    events: int,
    copies: Sequence[Copy],
    samples: Sequence[Sample],
    cut_off: Collection[str],
    brokers_cut_off_at_ms: Collection[float] = (),
    told: Iterable[Told] = (),
    *,
    writers_gave_up: bool = False,
) -> Audit:
    """Judge a trial of so many events; `cut_off` names the runs that were killed or frozen.

    `writers_gave_up`: it took longer to confirm than they wait. What `told` says is heeded there, and where
    brokers were cut off.
    """
    told_at_ms: dict[tuple[str, int], list[float]] = defaultdict(list)
    for one in told:
        told_at_ms[one.maker, one.number].append(one.at_ms)

    def is_explained(copy: Copy, later: Copy | None) -> bool:
        """Whether another copy may stand beside this one: nobody can have known that it was written."""
        heard_at_ms = told_at_ms.get((copy.maker, copy.number), ())
        return (
            copy.maker in cut_off
            or any(_is_untold(copy, at_ms, heard_at_ms) for at_ms in brokers_cut_off_at_ms)
            or (writers_gave_up and later is not None and _is_given_up(copy, later, heard_at_ms))
        )

    def is_unexplained(made: Sequence[Copy]) -> bool:
        in_order = sorted(made, key=lambda copy: copy.written_at_ms)
        return sum(not is_explained(*pair) for pair in zip_longest(in_order, in_order[1:])) > 1

    by_number: dict[int, list[Copy]] = defaultdict(list)
    for copy in copies:
        by_number[copy.number].append(copy)
    return Audit(
        events=events,
        lost=[number for number in range(events) if number not in by_number],
        misplaced=_misplaced(events, copies),
        repeated=len(copies) - len(by_number),
        unexplained=[
            _told(number, by_number[number])
            for number in sorted(by_number)
            if is_unexplained(by_number[number])
        ],
        went_back=list(_went_back(samples)),
        ran_ahead=list(_ran_ahead(events, copies, samples)),
        samples=len(samples),
    )


def _is_untold(copy: Copy, cut_at_ms: float, heard_at_ms: Iterable[float]) -> bool:
    """Whether a broker had written a copy when it was killed, and its maker had not heard of it by then.

    However long before: a worker that copies what it was told of is not excused by a cut that comes later.
    """
    was_told = any(copy.written_at_ms - _CLOCK_MS <= at_ms <= cut_at_ms for at_ms in heard_at_ms)
    return copy.written_at_ms <= cut_at_ms + _DYING_MS and not was_told


def _is_given_up(copy: Copy, later: Copy, heard_at_ms: Iterable[float]) -> bool:
    """Whether the next copy was written before anybody had heard of this one."""
    return not any(copy.written_at_ms - _CLOCK_MS <= at_ms < later.written_at_ms for at_ms in heard_at_ms)


def _told(number: int, copies: Sequence[Copy]) -> str:
    made = ", ".join(f"{copy.maker} at {copy.written_at_ms}" for copy in copies)
    return f"{number} ({copies[0].place.topic}/{copies[0].place.partition} {copies[0].offset}): {made}"


def _misplaced(events: int, copies: Iterable[Copy]) -> list[Copy]:
    offsets = offsets_of(events)
    return [
        copy
        for copy in copies
        if copy.place != place_of(copy.number) or copy.offset != offsets.get(copy.number)
    ]


def _went_back(samples: Iterable[Sample]) -> Iterable[str]:
    highest: dict[Place, int] = {}
    for sample in samples:
        for place, offset in sample.committed.items():
            if offset < highest.get(place, 0):
                yield f"{place}: {offset} after {highest[place]}"
            highest[place] = max(offset, highest.get(place, 0))


def _ran_ahead(events: int, copies: Iterable[Copy], samples: Iterable[Sample]) -> Iterable[str]:
    settled_at_ms = _settled_at_ms(events, copies)
    for sample in samples:
        for place, offset in sample.committed.items():
            at_ms = settled_at_ms[place][offset] if offset < len(settled_at_ms[place]) else float("inf")
            if at_ms > sample.taken_at_ms + _CLOCK_MS:
                yield f"{place}: {offset} committed {at_ms - sample.taken_at_ms:.0f} ms too early"


def _settled_at_ms(events: int, copies: Iterable[Copy]) -> dict[Place, list[float]]:
    """For each offset of a place: when the last of the first copies of everything below it was written."""
    first_at_ms = {place: [float("inf")] * end for place, end in ends_of(events).items()}
    for copy in copies:
        known = first_at_ms.get(copy.place, [])
        # A copy that is misplaced is a complaint of its own.
        if copy.offset < len(known):
            known[copy.offset] = min(known[copy.offset], copy.written_at_ms)
    settled: dict[Place, list[float]] = {}
    for place, moments in first_at_ms.items():
        latest, row = 0.0, [0.0]
        for at_ms in moments:
            latest = max(latest, at_ms)
            row.append(latest)
        settled[place] = row
    return settled
