"""Campaigns: one text, many copies, many authors, within a window; told once for each step of its growth.

Copies are counted by the records' timestamps, so that a backlog that is drained in seconds is none. Like
`streams.core.flooding` it is approximate and forgets; authors are kept as hashes of which only their number
can be told. Its owner keeps one meter beside each partition of `pending`, where all copies of a text meet,
and drops it with that: a campaign that goes on elsewhere may be told again there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from math import log
from typing import NamedTuple

from schemas.campaign import Campaign
from streams.core.judging import Case

PANES = 4
"""Into so many panes a window is cut: copies count for it, and for up to one pane more."""
REGISTERS = 256
"""Of HyperLogLog: an estimate is off by 6.5 %, and nearly exact up to some tens. One byte each."""
_ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)
_INDEX_BITS = 8
_REST_BITS = 64 - _INDEX_BITS


class CampaignBounds(NamedTuple):
    """What makes a campaign."""

    copies_min: int
    authors_min: int
    window_ms: int
    texts_max: int
    """Texts counted at a time; beyond, the one that was quiet for the longest time is forgotten."""


class Growth(NamedTuple):
    """A campaign has reached its next step."""

    step: int
    """1 at the threshold, and one more with each doubling."""
    copies: int
    authors_estimated: int
    first_seen_ms: int
    last_seen_ms: int


@dataclass(slots=True)
class _Pane:
    """A part of the window: the copies in it, and a sketch of their authors."""

    number: int
    copies: int = 0
    registers: bytearray = field(default_factory=lambda: bytearray(REGISTERS))


@dataclass(slots=True)
class _Run:
    """One text, for as long as its copies do not stay away for a whole window."""

    first_seen_ms: int
    last_seen_ms: int
    window_ms: int
    step: int = 0
    tried: int = 0
    """The step for which authors were last counted; below their number, only a new one can change that."""
    panes: list[_Pane] = field(default_factory=list)
    """The newest last; at most one more than a window has."""


class CampaignMeter:
    """One partition's texts."""

    __slots__ = ("_runs",)

    def __init__(self) -> None:
        # The least recently seen first.
        self._runs: dict[str, _Run] = {}

    def __repr__(self) -> str:
        return f"<CampaignMeter {len(self._runs)} texts>"

    def count(self, content_digest: str, author: str, at_ms: int, bounds: CampaignBounds) -> Growth | None:
        """Count a copy; where the text's campaign reaches its next step with it, say so.

        A copy older than the window is not counted: it is too late to be part of anything. Without authors it
        is still known how many copies there are; all who are nameless are one author.
        """
        run = self._run(content_digest, at_ms, bounds)
        pane = _pane_of(run, at_ms * PANES // bounds.window_ms)
        if pane is None:
            return None
        pane.copies += 1
        is_new = _note(pane.registers, author)
        run.first_seen_ms = min(run.first_seen_ms, at_ms)
        run.last_seen_ms = max(run.last_seen_ms, at_ms)
        return _growth(run, bounds, has_new_author=is_new)

    def _run(self, content_digest: str, at_ms: int, bounds: CampaignBounds) -> _Run:
        run = self._runs.pop(content_digest, None)
        window_ms = bounds.window_ms
        if run is None or at_ms - run.last_seen_ms > window_ms or run.window_ms != window_ms:
            run = _Run(at_ms, at_ms, window_ms)
        while len(self._runs) >= bounds.texts_max:
            del self._runs[next(iter(self._runs))]
        self._runs[content_digest] = run
        return run


def campaign_of(case: Case, growth: Growth) -> Campaign:
    """What is told of it; the case is the copy that made the step."""
    return Campaign(
        v=1,
        content_digest=case.content_digest,
        tenant=case.event.tenant,
        kind=case.event.kind,
        step=growth.step,
        copies=growth.copies,
        authors_estimated=growth.authors_estimated,
        first_seen_ms=max(0, growth.first_seen_ms),
        last_seen_ms=max(0, growth.last_seen_ms),
    )


def _pane_of(run: _Run, number: int) -> _Pane | None:
    """The pane of a moment, and the panes that no window reaches any more let go; None if that is one."""
    newest = max(run.panes[-1].number, number) if run.panes else number
    if number < newest - PANES:
        return None
    run.panes = [pane for pane in run.panes if newest - PANES <= pane.number <= newest]
    found = next((pane for pane in run.panes if pane.number == number), None)
    if found is None:
        found = _Pane(number)
        run.panes.append(found)
        run.panes.sort(key=lambda pane: pane.number)
    return found


def _growth(run: _Run, bounds: CampaignBounds, *, has_new_author: bool) -> Growth | None:
    copies = sum(pane.copies for pane in run.panes)
    step = _step(copies, bounds.copies_min)
    if step <= run.step or (step <= run.tried and not has_new_author):
        return None
    run.tried = step
    authors = round(_estimate(run.panes))
    if authors < bounds.authors_min:
        return None
    run.step = step
    return Growth(step, copies, authors, run.first_seen_ms, run.last_seen_ms)


def _step(copies: int, copies_min: int) -> int:
    """How often the threshold was reached: once, then with each doubling."""
    return (copies // copies_min).bit_length()


def _note(registers: bytearray, author: str) -> bool:
    """Whether the sketch changed, as it does only by an author that it has not seen."""
    hashed = int.from_bytes(blake2b(author.encode("utf-8", "replace"), digest_size=8).digest())
    register, rest = hashed >> _REST_BITS, hashed & ((1 << _REST_BITS) - 1)
    rank = _REST_BITS - rest.bit_length() + 1
    if rank <= registers[register]:
        return False
    registers[register] = rank
    return True


def _estimate(panes: list[_Pane]) -> float:
    """How many different authors the panes have seen together."""
    merged = [max(ranks) for ranks in zip(*(pane.registers for pane in panes), strict=True)]
    unused = merged.count(0)
    raw = _ALPHA * REGISTERS**2 / sum(2.0**-rank for rank in merged)
    # Where many registers are unused, their number says more than what the used ones hold.
    return REGISTERS * log(REGISTERS / unused) if unused and raw <= 2.5 * REGISTERS else raw
