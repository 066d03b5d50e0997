"""What rules cost on one post, by family and alone: the caller brings the clock and the sample.

A sampled post is looked at a second time, so that posts which are not sampled pay for no clock. What one look
leaves for the next (the folded text, the links) is made anew, and charged to whoever needs it first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from streams.core.flooding import FloodMeter
from streams.core.rules import CompiledPolicy
from streams.core.subjects import Subject

RULES_MAX = 32
"""Rules that are measured alone on one post; where there are more, the next ones are on the next post."""

FOLDING = "folding"
"""What making the folded text costs, which belongs to no rule."""


def family_costs(
    compiled: CompiledPolicy, subject: Subject, now_ms: Callable[[], float]
) -> Iterator[tuple[str, float]]:
    """Each family that looks at a post, and how many milliseconds it took."""
    began_ms = now_ms()
    again = _anew(subject)
    yield FOLDING, now_ms() - began_ms
    matching: set[int] = set()
    for family in compiled.families:
        began_ms = now_ms()
        family.look(again, matching)
        yield family.name, now_ms() - began_ms


def rule_costs(
    compiled: CompiledPolicy, subject: Subject, now_ms: Callable[[], float], *, turn: int
) -> Iterator[tuple[str, float]]:
    """Rules that look at a post one by one, each by its id, and how many milliseconds it took alone.

    Not those that are looked for all at once: an automaton of 10,000 terms takes as long without one of them.
    """
    looks = [look for family in compiled.families for look in family.each()]
    again = _anew(subject)
    for number in range(min(RULES_MAX, len(looks))):
        at, look = looks[(turn * RULES_MAX + number) % len(looks)]
        # The first look makes what rules share, as the links, and is charged to their family.
        look(again)
        began_ms = now_ms()
        look(again)
        yield compiled.policy.rules[at].id, now_ms() - began_ms


def _anew(subject: Subject) -> Subject:
    """The same post, with a meter of its own: a post that is measured is not written a second time."""
    return Subject(
        subject.forms.text,
        subject.kind,
        author=subject.author,
        tenant=subject.tenant,
        digest=subject.digest,
        at_ms=subject.at_ms,
        meter=FloodMeter(),
    )
