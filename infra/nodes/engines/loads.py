"""What an engine's own metrics say of its load: Prometheus's text in, a few figures out.

Names differ among releases, so each figure has a list of them; where none is there the figure is None and
not 0: a scraper that reads 0 for a renamed gauge believes the engine idle for ever.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from infra.nodes.engines.engine import Gauges
from streams.core.answers import NOT_DECODABLE
from streams.core.pacing import EngineLoad
from streams.ports import BadAnswer


class _Props(msgspec.Struct):
    total_slots: int


_decode_props = msgspec.json.Decoder(_Props).decode


def load_in(text: bytes, gauges: Gauges, slots: int | None = None) -> EngineLoad:
    """The load: of several series of one name, one for each replica, the sum, but the fullest cache."""
    values = _values(text)
    running, waiting = (_first(values, names) for names in (gauges.running, gauges.waiting))
    usages, preemptions = (_first(values, names) for names in (gauges.cache_usage, gauges.preemptions))
    return EngineLoad(
        running=None if running is None else int(sum(running)),
        waiting=None if waiting is None else int(sum(waiting)),
        cache_usage=None if usages is None else max(usages),
        slots=slots,
        preemptions=None if preemptions is None else int(sum(preemptions)),
    )


def slots_in(body: bytes) -> int:
    """How many slots an engine says that it has, or `BadAnswer`."""
    try:
        return _decode_props(body).total_slots
    except NOT_DECODABLE:
        raise BadAnswer("the response tells no slots") from None


def _first(values: dict[str, list[float]], names: Sequence[str]) -> list[float] | None:
    return next((values[name] for name in names if name in values), None)


def _values(text: bytes) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for line in text.decode(errors="replace").splitlines():
        if not line or line.startswith("#"):
            continue
        # A label's value may hold blanks and braces: what follows the last brace is the figure.
        name = line.partition("{")[0].split(" ", 1)[0]
        rest = line.rpartition("}")[2].split() if "{" in line else line.split()[1:]
        value = _number(rest[0]) if rest else None
        if value is not None:
            found.setdefault(name, []).append(value)
    return found


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
