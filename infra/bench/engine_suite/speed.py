"""CPU of a record and records in a second: all contenders in turns, copying or doing a fast path's work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from infra.bench.engine_suite.arena import Arena
from infra.bench.engine_suite.effort import Effort
from infra.bench.engine_suite.jobs import Work
from infra.bench.report import Finding

CONTENDERS = ("raw", "raw, reports", "aiokafka", "ours", "stock take")
# Stock Faust gets a tenth of the records: it takes more than ten times as long for each.
_STOCK_SHARE = 10
# aiokafka fetches for us: on a quiet machine it alone costs a fifth of raw's work.
_CPU_RATIO_MAX = 1.4
_RATE_RATIO_MIN = 0.65
_STOCK_RATIO_MIN = 12.0
# What a record costs more than raw's, whatever its work is: a copy is 2.4 to 3.2 us in all, so that its ratio
# says little about work of ten times as much.
_COPY_EXTRA_US_MAX = 3.0


def run(arena: Arena, effort: Effort, contenders: Sequence[str] = CONTENDERS) -> Iterable[Finding]:
    """Both works."""
    source = arena.filled("posts", effort.events)
    few = arena.filled("few-posts", effort.events // _STOCK_SHARE)
    works: tuple[Work, ...] = ("pass", "triage")
    for work in works:

        def one_round(work: Work = work) -> dict[str, float]:
            figures: dict[str, float] = {}
            for name in contenders:
                is_stock = name.startswith("stock")
                routes = {few if is_stock else source: arena.topic("verdicts")}
                records = effort.events // (_STOCK_SHARE if is_stock else 1)
                outcome = arena.run(arena.job(name, work, routes, dict.fromkeys(routes, records)))
                figures |= {f"{name} us": outcome.cpu_us, f"{name} /s": outcome.rate}
            return figures

        yield from findings(work, effort.medians(one_round), contenders)


def findings(work: Work, figures: dict[str, float], contenders: Sequence[str]) -> Iterable[Finding]:
    """What one work's figures say. Pure."""
    ours_us, raw_us = figures["ours us"], figures["raw us"]
    for name in contenders:
        if name not in {"raw", "ours", "stock take"}:
            yield Finding(what=f"{work}: CPU, {name}", ours=figures[f"{name} us"], peer=raw_us, unit="us")
            yield Finding(
                what=f"{work}: rate, {name}", ours=figures[f"{name} /s"], peer=figures["raw /s"], unit="/s"
            )
    # A copy has its bound in microseconds: that of delivery reports alone is beyond the ratio.
    ratio_max = None if work == "pass" else _CPU_RATIO_MAX
    yield Finding(what=f"{work}: CPU, ours", ours=ours_us, peer=raw_us, unit="us", target=ratio_max)
    if work == "pass":
        yield Finding(
            what="pass: CPU beyond raw", ours=ours_us - raw_us, unit="us", target=_COPY_EXTRA_US_MAX
        )
    yield Finding(
        what=f"{work}: rate, ours",
        ours=figures["ours /s"],
        peer=figures["raw /s"],
        unit="/s",
        target=_RATE_RATIO_MIN,
        bound="at least",
    )
    if "stock take" in contenders:
        yield Finding(
            what=f"{work}: CPU, stock take by ours",
            ours=figures["stock take us"],
            peer=ours_us,
            unit="us",
            target=_STOCK_RATIO_MIN,
            bound="at least",
        )
