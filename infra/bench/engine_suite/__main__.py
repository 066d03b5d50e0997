"""`python -m infra.bench.engine_suite`: measures, prints a report, exits with 1 where a target is missed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from infra.bench.engine_suite import latency, memory, second, slow, speed, starting, suite, urgent
from infra.bench.engine_suite.effort import Section

SECTIONS: dict[str, tuple[str, Section]] = {
    "speed": ("CPU of a record and records in a second, beside raw and others.", speed.run),
    "latency": ("From a record to its output, 1,000 in a second.", latency.run),
    "urgent": ("A critical record behind a backlog, beside a consumer for each priority.", urgent.run),
    "starting": ("From nothing to the first records.", starting.run),
    "second": ("What a second process gains.", second.run),
    "slow": ("Slow records in flight.", slow.run),
    "memory": ("Memory while many records go by.", memory.run),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was named, or all; the exit status."""
    parser = suite.parser("engine_suite", "Measure the engine beside its peers.", SECTIONS)
    parser.add_argument(
        "--soak-events",
        type=suite.at_least(100_000),
        default=2_000_000,
        help="records over which memory is watched (default: 2000000)",
    )
    return suite.run(parser.parse_args(argv), SECTIONS)


if __name__ == "__main__":
    sys.exit(main())
