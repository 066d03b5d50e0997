"""`penstock policy stats`: what the fast path did on the workers here since they started."""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from infra.errors import ExitCode, Failure
from infra.running import worker_statuses
from infra.settings import load
from streams.observing import RulesStatus

_US_PER_MS = 1_000.0
SHARING = frozenset({"terms", "regex", "allow"})
"""The types whose rules are looked for in one automaton or table."""
_AT_ONCE = "all its rules are looked for at once, so none has a cost of its own"


def run(args: argparse.Namespace) -> int:
    """Show it for all workers together, or as JSON worker by worker."""
    data_dir = load(args).settings.data_dir
    statuses = {
        name: status.rules
        for name, status in worker_statuses(Path(data_dir)).items()
        if status is not None and any(stage.stage == "triage" for stage in status.stages)
    }
    if not statuses:
        raise Failure(
            f"No worker with the stage triage runs for the data directory {data_dir}: start everything with "
            "`penstock up`, or one with `penstock worker`.",
            exit_code=ExitCode.NOT_RUNNING,
        )
    if args.json:
        print(msgspec.json.encode(statuses).decode())
    else:
        print(*told(list(statuses.values())), sep="\n")
    return ExitCode.OK


def told(statuses: Sequence[RulesStatus]) -> Iterator[str]:
    """The figures of several workers together, as lines."""
    posts = sum(status.posts for status in statuses)
    decided = sum(status.decided for status in statuses)
    share = f" ({decided / posts:.1%})" if posts else ""
    yield f"decided {decided} of {posts} posts{share}"
    hits: Counter[tuple[str, str, str]] = Counter()
    for status in statuses:
        hits.update({(hit.rule, hit.label, hit.mode): hit.hits for hit in status.hits})
    for (rule, label, mode), count in sorted(hits.items(), key=lambda one: (-one[1], one[0])):
        yield f"  {count:>9} {mode:<6} {rule}{f' {label}' if label else ''}"
    families = _means_us((cost.family, cost.samples, cost.took_ms) for one in statuses for cost in one.costs)
    for family, (each_us, count) in families.items():
        note = f"; {_AT_ONCE}" if family in SHARING else ""
        yield f"  {each_us:>6.1f} us a post, {family} (measured on {count}{note})"
    rules = _means_us((cost.rule, cost.samples, cost.took_ms) for one in statuses for cost in one.rule_costs)
    for rule, (each_us, count) in rules.items():
        yield f"  {each_us:>6.1f} us a post, the rule {rule} alone (measured on {count})"


def _means_us(costs: Iterable[tuple[str, int, float]]) -> dict[str, tuple[float, int]]:
    """Of each name what it took on the average, and on how many posts."""
    samples: Counter[str] = Counter()
    took_ms: defaultdict[str, float] = defaultdict(float)
    for name, count, took in costs:
        samples[name] += count
        took_ms[name] += took
    return {name: (took_ms[name] * _US_PER_MS / count, count) for name, count in sorted(samples.items())}
