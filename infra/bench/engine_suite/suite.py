"""How a suite is run: its options, its arena, its sections in turn, its report, its exit status."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping

from infra.bench.engine_suite.arena import Arena, arena
from infra.bench.engine_suite.effort import Effort, Section
from infra.bench.report import Finding, summary

Sections = Mapping[str, tuple[str, Section]]

_MISSED = 1


def parser(
    name: str, description: str, sections: Sections, *, events: int = 200_000
) -> argparse.ArgumentParser:
    """The options that every suite has."""
    made = argparse.ArgumentParser(prog=f"python -m infra.bench.{name}", description=description)
    made.add_argument("--rounds", type=at_least(1), default=5, help="how often each is run (default: 5)")
    made.add_argument(
        "--events", type=at_least(10_000), default=events, help=f"records in a run (default: {events})"
    )
    made.add_argument(
        "--only", action="append", choices=sections, help="one section; repeat it for several (default: all)"
    )
    made.set_defaults(soak_events=0)
    return made


def at_least(least: int) -> Callable[[str], int]:
    """An option's type: a number that is not below this one."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"`{text}` is no number from {least} on")
        return int(text)

    return number


def run(args: argparse.Namespace, sections: Sections) -> int:
    """Run what was named, or all; the exit status."""
    effort = Effort(rounds=args.rounds, events=args.events, soak_events=args.soak_events)
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs")
    print(f"{effort.rounds} rounds in turns; {effort.events:,} records each; medians; targets are for ratios")
    # Whoever ends it early leaves no broker behind.
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    with arena() as ground:
        findings = [
            finding
            for name in args.only or sections
            for finding in _told(name, sections[name], ground, effort)
        ]
    print(summary(findings))
    return 0 if all(finding.is_met for finding in findings) else _MISSED


def _told(name: str, section: tuple[str, Section], ground: Arena, effort: Effort) -> Iterator[Finding]:
    line, run_section = section
    print(f"\n{name}: {line}", flush=True)
    began_s = time.perf_counter()
    for finding in run_section(ground, effort):
        print(finding, flush=True)
        yield finding
    print(f"  ({time.perf_counter() - began_s:.1f} s)")
