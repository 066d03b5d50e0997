"""`python -m infra.bench.memory_suite`: measures, prints a report, exits with 1 where a target is missed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from infra.bench.engine_suite import suite
from infra.bench.engine_suite.effort import Section
from infra.bench.memory_suite import bounded, cost, restoring

SECTIONS: dict[str, tuple[str, Section]] = {
    "cost": ("CPU of an answer and of a put, beside a dict and SQLite that hold the same.", cost.run),
    "restoring": ("Filling an empty directory, beside a consumer that only reads.", restoring.run),
    "bounded": ("Memory while many digests go by, beside a dict and SQLite.", bounded.run),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was named, or all; the exit status."""
    parser = suite.parser("memory_suite", "Measure what it costs to remember.", SECTIONS, events=1_000_000)
    parser.add_argument(
        "--soak-events",
        type=suite.at_least(100_000),
        default=5_000_000,
        help="digests over which memory is watched (default: 5000000)",
    )
    return suite.run(parser.parse_args(argv), SECTIONS)


if __name__ == "__main__":
    sys.exit(main())
