"""`python -m infra.bench.packing_suite`: measures, prints a report, exits with 1 where a target is missed.

Ten posts on a sequential node through the dispatch, alone and packed. The ideal is reckoned from the node's
own service times and holds the sentinels; a second ideal may part the ten as it likes, with everything known
beforehand.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

from infra.bench.packing_suite import cost
from infra.bench.packing_suite.nodes import SORTS, Sizes, Sort, best_ms, request_ms
from infra.bench.packing_suite.runs import POSTS, dispatching, harmless, sizes
from infra.bench.report import Finding, summary
from infra.bench.virtual import VirtualClock, simulate
from infra.nodes.memory import MemoryNode

PACK_SIZES = (2, 4, 8, 10)
OF_IDEAL = 0.9
_WARM_ROUNDS = 4
_MISSED = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run everything; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.bench.packing_suite", description="Measure packs.")
    parser.parse_args(argv)
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs")
    print(f"{POSTS} posts, one request at a time, in virtual time; peers are ideals")
    findings = [*_nodes(), *_told("our own part", cost.run())]
    print(summary(findings))
    return 0 if all(finding.is_met for finding in findings) else _MISSED


def _nodes() -> Iterator[Finding]:
    for sort in SORTS:
        yield from _told(sort.name, simulate(_of_one_node(sort)))


def _told(title: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    print(f"\n{title}", flush=True)
    for finding in findings:
        print(finding, flush=True)
        yield finding


async def _of_one_node(sort: Sort) -> list[Finding]:
    return [finding async for finding in _measured(sort)]


async def _measured(sort: Sort) -> AsyncIterator[Finding]:
    questions = harmless()
    hold = sizes(questions)

    async def all_ms(size: int, *, is_forced: bool = False, single_ms: float = 0.0) -> float:
        node = MemoryNode(settings=sort.settings, clock=VirtualClock())
        async with dispatching(node, questions, size, is_forced=is_forced, single_ms=single_ms) as ground:
            # Prefixes of both sorts are cached, and what a pack takes is known after these.
            took_ms = [await ground.all_ms() for _ in range(_WARM_ROUNDS + 1)]
        return took_ms[-1]

    alone_ms = await all_ms(1)
    yield _rate("one by one", alone_ms, POSTS * request_ms(sort, hold, 1, is_packed=False))
    for size in PACK_SIZES:
        packed_ms = await all_ms(size, is_forced=True)
        yield _rate(f"packs of {size}", packed_ms, _packs_ms(sort, hold, size))
        yield Finding(what="  … times as many as one by one", ours=alone_ms / packed_ms, unit="x")
    for size in PACK_SIZES:
        chosen_ms = await all_ms(size, single_ms=alone_ms / POSTS)
        yield _rate(f"as it chooses, up to {size}", chosen_ms, best_ms(sort, hold, POSTS, size))
        yield Finding(what="  … times as many as one by one", ours=alone_ms / chosen_ms, unit="x")


def _packs_ms(sort: Sort, hold: Sizes, size: int) -> float:
    """All in packs of this size, the last one smaller."""
    whole, left = divmod(POSTS, size)
    last_ms = request_ms(sort, hold, left, is_packed=True) if left else 0.0
    return whole * request_ms(sort, hold, size, is_packed=True) + last_ms


def _rate(what: str, ours_ms: float, ideal_ms: float) -> Finding:
    return Finding(
        what=what,
        ours=1_000 * POSTS / ours_ms,
        unit="posts/s",
        peer=1_000 * POSTS / ideal_ms,
        target=OF_IDEAL,
        bound="at least",
    )


if __name__ == "__main__":
    sys.exit(main())
