"""`python -m infra.bench.triage_suite`: measures, prints a report, exits with 1 where a target is missed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from infra.bench import deciding
from infra.bench.engine_suite import suite
from infra.bench.engine_suite.arena import Arena
from infra.bench.engine_suite.effort import Effort, Section
from infra.bench.report import Finding
from infra.bench.triage_suite import cost, latency


def _deciding(_arena: Arena, _effort: Effort) -> Iterable[Finding]:
    return deciding.run()


SECTIONS: dict[str, tuple[str, Section]] = {
    "cost": ("The whole stage, beside a plain loop, Bytewax and Quix Streams.", cost.run),
    "latency": ("From a content record to its verdict, 1,000 in a second.", latency.run),
    "deciding": ("The decision alone, by length of text and number of patterns.", _deciding),
}
_EVENTS = 50_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was named, or all; the exit status."""
    parser = suite.parser("triage_suite", "Measure the fast path beside its peers.", SECTIONS, events=_EVENTS)
    return suite.run(parser.parse_args(argv), SECTIONS)


if __name__ == "__main__":
    sys.exit(main())
