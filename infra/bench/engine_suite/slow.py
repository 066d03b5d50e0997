"""Many slow records in flight at once: what holding ten times as many costs each of them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from infra.bench.engine_suite.arena import Arena
from infra.bench.engine_suite.effort import Effort
from infra.bench.report import Finding

_SHARE = 4
_SOME, _MANY = 1_000, 10_000
# So that so many in flight are ten thousand in a second.
_PER_S = 10_000
_GROWTH_MAX = 1.25
_ASYNCIO_RATIO_MAX = 1.5


def run(arena: Arena, effort: Effort) -> Iterable[Finding]:
    """A thousand and ten thousand in flight, at the same rate."""
    records = effort.events // _SHARE
    source = arena.filled("slow", records)

    def one_round() -> dict[str, float]:
        return {
            "asyncio": _cpu_us(arena, "asyncio", source, records, _SOME),
            "some": _cpu_us(arena, "ours", source, records, _SOME),
            "many": _cpu_us(arena, "ours", source, records, _MANY),
        }

    figures = effort.medians(one_round)
    yield Finding(
        what=f"{_SOME:,} in flight, beside asyncio",
        ours=figures["some"],
        peer=figures["asyncio"],
        unit="us",
        target=_ASYNCIO_RATIO_MAX,
    )
    yield Finding(
        what=f"{_MANY:,} in flight, beside {_SOME:,}",
        ours=figures["many"],
        peer=figures["some"],
        unit="us",
        target=_GROWTH_MAX,
    )


def _cpu_us(arena: Arena, contender: str, source: str, records: int, in_flight: int) -> float:
    job = arena.job(contender, "slow", {source: arena.topic("verdicts")}, {source: records})
    wait_ms = in_flight * 1_000 // _PER_S
    return arena.run(msgspec.structs.replace(job, in_flight=in_flight, wait_ms=wait_ms)).cpu_us
