"""What goes wrong on purpose: the faults of the reference node, how they are written, which one is drawn.

Pure: the chance is an argument. A fault is written as its name, with its figure behind an underscore:
`status_503`, `delay_250` (ms), `hang`, `drop`, `drop_midway`, `not_json`, `truncated`, `unknown_label`,
`huge_16` (MiB), and in packs `missing_id`, `doubled_id`, `foreign_id`, `mixed_ids`. A header names one; the
setting names several, each with its rate: `status_503=0.01,hang=0.001`.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, TypeAlias

MixedUp = Literal["missing_id", "doubled_id", "foreign_id", "mixed_ids"]
Garbled = Literal["not_json", "truncated", "unknown_label"] | MixedUp
DELAY_MS_MAX = 3_600_000
HUGE_MIB_MAX = 1_024


class Status(NamedTuple):
    """An error status instead of an answer, at once and without a slot."""

    status: int


class Delay(NamedTuple):
    """So much longer in the slot."""

    delay_ms: int


class Hang(NamedTuple):
    """No answer, ever; the slot stays taken until the client gives up."""


class Drop(NamedTuple):
    """The connection breaks where the answer should begin, or in the middle of it."""

    is_midway: bool


class Garble(NamedTuple):
    """An answer with status 200 that is not what was asked for."""

    how: Garbled


class Huge(NamedTuple):
    """An answer with so many MiB of blanks behind it."""

    mib: int


Fault: TypeAlias = Status | Delay | Hang | Drop | Garble | Huge
Rates: TypeAlias = tuple[tuple[Fault, float], ...]

_PLAIN: dict[str, Fault] = {
    "hang": Hang(),
    "drop": Drop(is_midway=False),
    "drop_midway": Drop(is_midway=True),
    "not_json": Garble("not_json"),
    "truncated": Garble("truncated"),
    "unknown_label": Garble("unknown_label"),
    "missing_id": Garble("missing_id"),
    "doubled_id": Garble("doubled_id"),
    "foreign_id": Garble("foreign_id"),
    "mixed_ids": Garble("mixed_ids"),
}
NAMES = ("status_NNN", "delay_MS", "huge_MIB", *_PLAIN)


class BadFault(ValueError):
    """A fault that cannot be read, with a sentence about it."""


def parse_fault(text: str) -> Fault:
    """One fault, as a header names it."""
    name = text.strip()
    if name in _PLAIN:
        return _PLAIN[name]
    match name.rpartition("_"):
        case ("status", _, figure):
            return Status(_figure(name, figure, 400, 599))
        case ("delay", _, figure):
            return Delay(_figure(name, figure, 1, DELAY_MS_MAX))
        case ("huge", _, figure):
            return Huge(_figure(name, figure, 1, HUGE_MIB_MAX))
        case _:
            raise BadFault(f"There is no fault {_shown(name)}; there are {', '.join(NAMES)}.")


def parse_rates(text: str) -> Rates:
    """Several faults with their rates, as the setting names them. The rates add up to 1 at most."""
    rates = tuple(_parse_rate(entry) for entry in text.split(",")) if text.strip() else ()
    total = math.fsum(rate for _, rate in rates)
    if total > 1 + 1e-9:
        raise BadFault(f"The rates of the faults add up to {total:g}, and may to 1 at most.")
    return rates


def draw(rates: Rates, chance: float) -> Fault | None:
    """The fault that a number in [0, 1) falls on, if it falls on one."""
    for fault, rate in rates:
        if chance < rate:
            return fault
        chance -= rate
    return None


def _parse_rate(entry: str) -> tuple[Fault, float]:
    name, equals, figure = entry.partition("=")
    if not equals:
        raise BadFault(f"The fault {_shown(entry)} needs a rate: write {_shown(entry)}=0.01.")
    try:
        rate = float(figure)
    except ValueError:
        rate = math.nan
    if not 0 <= rate <= 1:
        raise BadFault(f"The rate of the fault {_shown(name)} must be a number from 0 to 1.")
    return parse_fault(name), rate


def _figure(name: str, figure: str, least: int, most: int) -> int:
    # `isascii`, because Python also takes the digits of other scripts for figures.
    if figure.isascii() and figure.isdigit() and len(figure) < 12 and least <= int(figure) <= most:
        return int(figure)
    raise BadFault(f"The figure of the fault {_shown(name)} must be a whole number from {least} to {most}.")


def _shown(text: str) -> str:
    """What somebody wrote, short enough and without control characters."""
    return "".join(c if c.isprintable() else "?" for c in text.strip())[:40]
