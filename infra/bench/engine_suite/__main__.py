"""`python -m infra.bench.engine_suite`: measures, prints a report, exits with 1 where a target is missed."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from infra.bench.engine_suite import latency, memory, second, slow, speed, urgent
from infra.bench.engine_suite.arena import Arena, arena
from infra.bench.engine_suite.effort import Effort, Section
from infra.bench.report import Finding, summary

SECTIONS: dict[str, tuple[str, Section]] = {
    "speed": ("CPU of a record and records in a second, beside raw and others.", speed.run),
    "latency": ("From a record to its output, 1,000 in a second.", latency.run),
    "urgent": ("A critical record behind a backlog, beside a consumer for each priority.", urgent.run),
    "second": ("What a second process gains.", second.run),
    "slow": ("Slow records in flight.", slow.run),
    "memory": ("Memory while many records go by.", memory.run),
}

_MISSED = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was named, or all; the exit status."""
    args = _parser().parse_args(argv)
    effort = Effort(rounds=args.rounds, events=args.events, soak_events=args.soak_events)
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs")
    print(f"{effort.rounds} rounds in turns; {effort.events:,} records each; medians; targets are for ratios")
    # Whoever ends it early leaves no broker behind.
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    with arena() as ground:
        findings = [finding for name in args.only or SECTIONS for finding in _told(name, ground, effort)]
    print(summary(findings))
    return 0 if all(finding.is_met for finding in findings) else _MISSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.bench.engine_suite", description="Measure the engine beside its peers."
    )
    parser.add_argument("--rounds", type=_at_least(1), default=5, help="how often each is run (default: 5)")
    parser.add_argument(
        "--events", type=_at_least(10_000), default=200_000, help="records in a run (default: 200000)"
    )
    parser.add_argument(
        "--soak-events",
        type=_at_least(100_000),
        default=2_000_000,
        help="records over which memory is watched (default: 2000000)",
    )
    parser.add_argument(
        "--only", action="append", choices=SECTIONS, help="one section; repeat it for several (default: all)"
    )
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"`{text}` is no number from {least} on")
        return int(text)

    return number


def _told(name: str, ground: Arena, effort: Effort) -> Iterator[Finding]:
    line, section = SECTIONS[name]
    print(f"\n{name}: {line}", flush=True)
    began_s = time.perf_counter()
    for finding in section(ground, effort):
        print(finding, flush=True)
        yield finding
    print(f"  ({time.perf_counter() - began_s:.1f} s)")


if __name__ == "__main__":
    sys.exit(main())
