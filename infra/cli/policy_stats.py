"""`penstock policy stats`: what the fast path did on the workers here since they started."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from infra.errors import ExitCode, Failure
from infra.running import worker_statuses
from infra.settings import load
from streams.observing import RulesStatus

_US_PER_MS = 1_000.0


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
    samples: Counter[str] = Counter()
    took_ms: Counter[str] = Counter()
    for status in statuses:
        hits.update({(hit.rule, hit.label, hit.mode): hit.hits for hit in status.hits})
        samples.update({cost.family: cost.samples for cost in status.costs})
        for cost in status.costs:
            took_ms[cost.family] += cost.took_ms  # type: ignore[assignment]  # A counter takes any number.
    for (rule, label, mode), count in sorted(hits.items(), key=lambda one: (-one[1], one[0])):
        yield f"  {count:>9} {mode:<6} {rule}{f' {label}' if label else ''}"
    for family, count in sorted(samples.items()):
        each_us = took_ms[family] * _US_PER_MS / count
        yield f"  {each_us:>6.1f} us a post, {family} (measured on {count})"
