"""What the rules of a policy cost, family by family, on one post: the caller brings the clock and the sample.

A sampled post is looked at a second time, so that posts which are not sampled pay for no clock. What one look
leaves for the next (the folded text, the links) is made anew, and charged to whoever needs it first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from streams.core.flooding import FloodMeter
from streams.core.rules import CompiledPolicy
from streams.core.subjects import Subject

FOLDING = "folding"
"""What making the folded text costs, which belongs to no rule."""


def family_costs(
    compiled: CompiledPolicy, subject: Subject, now_ms: Callable[[], float]
) -> Iterator[tuple[str, float]]:
    """Each family that looks at a post, and how many milliseconds it took."""
    began_ms = now_ms()
    # A meter of its own: a post that is measured is not written a second time.
    again = Subject(
        subject.forms.text,
        subject.kind,
        author=subject.author,
        tenant=subject.tenant,
        digest=subject.digest,
        at_ms=subject.at_ms,
        meter=FloodMeter(),
    )
    yield FOLDING, now_ms() - began_ms
    matching: set[int] = set()
    for family in compiled.families:
        began_ms = now_ms()
        family.look(again, matching)
        yield family.name, now_ms() - began_ms
