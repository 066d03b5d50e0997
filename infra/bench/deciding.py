"""A decision alone, without Kafka, under a policy as large as they get; and what compiling one takes.

The texts are plain English, and the same with every tenth word in disguise, so that evasion must be undone.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial

from infra.bench.measuring import Timed, cpu_us_per_event
from infra.bench.policies import PATTERNS, TERMS, large_policy
from infra.bench.report import Finding
from schemas.event import Moderate
from streams.core.rules import CompiledPolicy, compile_policy
from streams.core.triage import triage

_SENTENCES = (
    "The committee met again on Thursday to discuss the new budget for the library, and most people agreed "
    "that the plan was sensible. Some asked whether opening hours could be extended at weekends; others "
    "wanted more books for children. They should do both, since it costs little and helps everyone in town. "
)
ENGLISH = _SENTENCES.split()
_HIDDEN = {"budget": "budg3t", "people": "p\u0435ople", "books": "b o o k s"}
_DISGUISED = [_HIDDEN.get(word, word) for word in ENGLISH]
_VARIANTS = 100
"""Different texts, so that no automaton is only as warm as one of them makes it."""
_POST_BYTES = 300
_LONG_BYTES = 65_536
_LENGTHS = (300, 4_096, 16_384, _LONG_BYTES)
_PATTERNS = (10, 100, 1_000, 10_000)
_ROUNDS = 5
_DECISION_US_MAX = 15.0
# A long text has no fixed cost to share, so a kilobyte of it should cost no more than one of a short text.
_LENGTH_RATIO_MAX = 1.5
# A thousand times the patterns: sub-linear by far.
_PATTERNS_RATIO_MAX = 10.0
# Off the loop, once for a version; a push should be in force within two seconds.
_COMPILE_S_MAX = 2.0


def run() -> Iterable[Finding]:
    """A decision by length and by patterns."""
    before_kib, began_ns = _peak_kib(), time.process_time_ns()
    policy = compile_policy(large_policy())
    yield Finding(
        what=f"compile {TERMS:,} terms, {PATTERNS:,} patterns",
        ours=(time.process_time_ns() - began_ns) / 1e9,
        unit="s",
        target=_COMPILE_S_MAX,
    )
    yield Finding(what="memory that it adds at its peak", ours=(_peak_kib() - before_kib) / 1_024, unit="MiB")
    yield from _of_posts(policy)
    yield from _by_length(policy)
    yield from _by_patterns()


def _of_posts(policy: CompiledPolicy) -> Iterable[Finding]:
    found = cpu_us_per_event(
        {
            "plain": partial(_deciding, policy, ENGLISH, _POST_BYTES, 2_000),
            "disguised": partial(_deciding, policy, _DISGUISED, _POST_BYTES, 2_000),
        },
        rounds=_ROUNDS,
    )
    yield Finding(what="a decision, 300 bytes", ours=found["plain"], unit="us", target=_DECISION_US_MAX)
    yield Finding(what="the same, evasion to undo", ours=found["disguised"], unit="us")


def _by_length(policy: CompiledPolicy) -> Iterable[Finding]:
    found = cpu_us_per_event(
        {str(length): partial(_deciding, policy, ENGLISH, length, 600_000 // length) for length in _LENGTHS},
        rounds=_ROUNDS,
    )
    by_kib = {length: found[str(length)] / length * 1_024 for length in _LENGTHS}
    for length in _LENGTHS[:-1]:
        yield Finding(what=f"a KiB of a text of {length:,} bytes", ours=by_kib[length], unit="us")
    yield Finding(
        what=f"a KiB of a text of {_LONG_BYTES:,} bytes",
        ours=by_kib[_LONG_BYTES],
        peer=by_kib[_LENGTHS[1]],
        unit="us",
        target=_LENGTH_RATIO_MAX,
    )


def _by_patterns() -> Iterable[Finding]:
    policies = {count: compile_policy(large_policy(terms=0, patterns=count)) for count in _PATTERNS}
    found = cpu_us_per_event(
        {
            str(count): partial(_deciding, policy, ENGLISH, _POST_BYTES, 2_000)
            for count, policy in policies.items()
        },
        rounds=_ROUNDS,
    )
    for count in _PATTERNS[:-1]:
        yield Finding(what=f"a decision, {count:,} patterns", ours=found[str(count)], unit="us")
    yield Finding(
        what=f"a decision, {_PATTERNS[-1]:,} patterns",
        ours=found[str(_PATTERNS[-1])],
        peer=found[str(_PATTERNS[0])],
        unit="us",
        target=_PATTERNS_RATIO_MAX,
    )


def _deciding(policy: CompiledPolicy, words: list[str], length: int, count: int) -> Timed:
    events = [Moderate(v=1, id="1", text=text) for text in _texts(words, length)]
    rounds = -(-count // len(events))

    def timed() -> int:
        for _ in range(rounds):
            for event in events:
                triage(event, policy)
        return rounds * len(events)

    return timed


def _texts(words: list[str], length: int) -> Iterator[str]:
    """Texts that begin at different words, and from then on skip some."""
    for number in range(min(_VARIANTS, 1_000_000 // length)):
        step = 1 + 2 * (number % 7)
        several = [words[(number + at * step) % len(words)] for at in range(length // 3)]
        yield " ".join(several)[:length]


def _peak_kib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1_024 if sys.platform == "darwin" else peak
