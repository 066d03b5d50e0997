"""`python -m infra.bench [NAME …]`: runs benches, prints a report, exits with 1 where a target is missed.

A bench is a module with `run()`, imported only when it is run; hence the table below is literal.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence

from infra.bench.report import Finding, summary

BENCHES: dict[str, tuple[str, str]] = {
    "wire": ("infra.bench.wire", "Decoding and encoding, beside msgspec without limits."),
    "watermark": ("infra.bench.watermark", "Keeping account of offsets, beside the simplest account."),
    "deciding": ("infra.bench.deciding", "A decision alone, by length of text and number of patterns."),
    "triage": ("infra.bench.triage", "The whole fast path, beside its bare work in a loop."),
    "engine": ("infra.bench.engine", "Records in and out of Kafka, beside a plain librdkafka loop."),
}

_MISSED = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was named, or all; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.bench", description="Measure what the parts cost.")
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help=f"which: {', '.join(BENCHES)} (default: all)"
    )
    names = parser.parse_args(argv).names or list(BENCHES)
    if unknown := [name for name in names if name not in BENCHES]:
        parser.error(f"there is no bench `{unknown[0]}`; there are {', '.join(BENCHES)}")
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs")
    findings = [finding for name in names for finding in _told(name)]
    print(summary(findings))
    return 0 if all(finding.is_met for finding in findings) else _MISSED


def _told(name: str) -> Iterable[Finding]:
    module, line = BENCHES[name]
    print(f"\n{name}: {line}", flush=True)
    began_s = time.perf_counter()
    run: Callable[[], Iterable[Finding]] = importlib.import_module(module).run
    for finding in run():
        print(finding, flush=True)
        yield finding
    print(f"  ({time.perf_counter() - began_s:.1f} s)")


if __name__ == "__main__":
    sys.exit(main())
