"""`python -m infra.bench.dispatch_suite`: measures, reports, and exits with 1 where a target is missed."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from infra.bench.report import Finding, summary

SECTIONS: dict[str, tuple[str, str]] = {
    "steady": ("infra.bench.dispatch_suite.steady", "How much gets through, beside the best fixed limit."),
    "urgent": ("infra.bench.dispatch_suite.urgent", "What critical waits, and that nobody is starved."),
    "scaling": ("infra.bench.dispatch_suite.scaling", "Users without a pause, over more and more slots."),
    "holding": ("infra.bench.dispatch_suite.holding", "A node kept busy, a loop kept free."),
    "many": ("infra.bench.dispatch_suite.many", "Two thousand in flight for five minutes."),
    "cost": (
        "infra.bench.dispatch_suite.cost",
        "What a post costs us, over real HTTP, beside other clients.",
    ),
}
_MISSED = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was named, or all; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.bench.dispatch_suite", description="Measure the dispatch beside its peers."
    )
    parser.add_argument(
        "--only", action="append", choices=SECTIONS, help="one section; repeat it for several (default: all)"
    )
    names = parser.parse_args(argv).only or list(SECTIONS)
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs")
    findings = [finding for name in names for finding in _told(name)]
    print(summary(findings))
    return 0 if all(finding.is_met for finding in findings) else _MISSED


def _told(name: str) -> Iterator[Finding]:
    module, line = SECTIONS[name]
    print(f"\n{name}: {line}", flush=True)
    began_s = time.perf_counter()
    run: Callable[[], Iterable[Finding]] = importlib.import_module(module).run
    for finding in run():
        print(finding, flush=True)
        yield finding
    print(f"  ({time.perf_counter() - began_s:.1f} s)")


if __name__ == "__main__":
    sys.exit(main())
