"""What a second process gains, beside what it gains a raw loop. Each has half of the partitions.

Told, and held to nothing: with a broker beside them, two processes need more CPUs than many a machine has.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

import msgspec

from infra.bench.engine_suite.arena import PARTITIONS, Arena
from infra.bench.engine_suite.effort import Effort
from infra.bench.engine_suite.jobs import Outcome
from infra.bench.report import Finding

_CONTENDERS = ("raw, reports", "ours")


def run(arena: Arena, effort: Effort) -> Iterable[Finding]:
    """One process, then two, of each."""
    half = effort.events // 2
    whole = arena.filled("whole", 2 * half)
    halves = [arena.filled("half", half, partitions=PARTITIONS // 2) for _ in range(2)]

    def one_round() -> dict[str, float]:
        return {
            name: _rate(arena, name, dict.fromkeys(halves, half)) / _rate(arena, name, {whole: 2 * half})
            for name in _CONTENDERS
        }

    figures = effort.medians(one_round)
    yield Finding(
        what="gain of a second process",
        ours=figures["ours"],
        peer=figures["raw, reports"],
        unit="x",
    )


def _rate(arena: Arena, name: str, sources: dict[str, int]) -> float:
    """A process for each source, all at once; each may run anywhere, beside the broker."""
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                arena.running(
                    msgspec.structs.replace(
                        arena.job(name, "triage", {source: arena.topic("verdicts")}, {source: records}),
                        cpus=(),
                    )
                )
            )
            for source, records in sources.items()
        ]
        outcomes: list[Outcome] = [contender.outcome() for contender in running]
    wall_s = max(one.ended_s for one in outcomes) - min(one.began_s for one in outcomes)
    return sum(one.records for one in outcomes) / wall_s
