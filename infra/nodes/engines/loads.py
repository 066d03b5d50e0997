"""What an engine's own metrics say of its load: Prometheus's text in, three figures out.

Names differ among releases, so each figure has a list of them; where none is there the figure is None and
not 0: a scraper that reads 0 for a renamed gauge believes the engine idle for ever.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from infra.nodes.engines.engine import Gauges
from infra.nodes.engines.wires import NOT_DECODABLE
from streams.ports import BadAnswer, EngineLoad


class _Props(msgspec.Struct):
    total_slots: int


_decode_props = msgspec.json.Decoder(_Props).decode


def load_in(text: bytes, gauges: Gauges, slots: int | None = None) -> EngineLoad:
    """The load; several series of one name, one for each model or replica, are added up."""
    values = _values(text)
    running, waiting = (_sum(values, names) for names in (gauges.running, gauges.waiting))
    return EngineLoad(
        running=None if running is None else int(running),
        waiting=None if waiting is None else int(waiting),
        cache_usage=_sum(values, gauges.cache_usage),
        slots=slots,
    )


def slots_in(body: bytes) -> int:
    """How many slots an engine says that it has, or `BadAnswer`."""
    try:
        return _decode_props(body).total_slots
    except NOT_DECODABLE:
        raise BadAnswer("the response tells no slots") from None


def _sum(values: dict[str, float], names: Sequence[str]) -> float | None:
    return next((values[name] for name in names if name in values), None)


def _values(text: bytes) -> dict[str, float]:
    found: dict[str, float] = {}
    for line in text.decode(errors="replace").splitlines():
        if not line or line.startswith("#"):
            continue
        # A label's value may hold blanks and braces: what follows the last brace is the figure.
        name = line.partition("{")[0].split(" ", 1)[0]
        rest = line.rpartition("}")[2].split() if "{" in line else line.split()[1:]
        value = _number(rest[0]) if rest else None
        if value is not None:
            found[name] = found.get(name, 0.0) + value
    return found


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
