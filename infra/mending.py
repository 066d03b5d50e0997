"""What stands in for an element of a policy file that has a mistake of shape, so that its rest is judged.

A field that is wrong is left out, or filled with something harmless where it must be there; what is then
said of that field, or of the element as a whole, is ours and not the author's, and is not told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from infra.shapes import Shape, problems_of
from schemas.policy import RepetitionRule
from streams.core.vetting import NO_SUCH_LABEL

# No element of an author's has this name, so that none is told as standing twice.
_NAME = "draft.mended.{at}"
_FILLING: Mapping[str, Any] = {
    "description": "draft",
    "text": "draft",
    "action": "label",
    "terms": ["draft"],
    "patterns": ["draft"],
    "characters_max": 1,
    "posts_over": 1,
    "window_s": 1,
}
_NAMES = ("id", "name")
_TOP = re.compile(r"\.(\w+)")
_THRESHOLDS = frozenset({"label_at", "review_at", "block_at"})
# Of a rule whose type is not known, what all rules have is judged, as of a type that needs no more.
_ANY_RULE = RepetitionRule
_OF_ANY_RULE = frozenset(
    {"type", "id", "action", "label", "mode", "canary_percent", "kinds", "matches", "passes"}
)


class Mended(NamedTuple):
    """An element that can be judged."""

    element: Any
    fields: frozenset[str] = frozenset()
    """Those that are not the author's; none: it is whole."""

    def is_told(self, place: str, reason: str) -> bool:
        """Whether what is wrong with it is the author's: by its place below the element."""
        if not self.fields:
            return True
        top = _TOP.match(place)
        if top is None:
            # Of a label the order of its thresholds; of a rule, that something is missing.
            return hasattr(self.element, "label_at") and not self.fields & _THRESHOLDS
        if top[1] == "label" and not reason.startswith(NO_SUCH_LABEL):
            return not self.fields & {"label", "action"}
        return top[1] not in self.fields


def mended(element: Any, kind: Any, shapes: tuple[Shape, ...], at: int) -> Mended | None:
    """The element with all that is right of it; None where nothing can be judged."""
    if not isinstance(element, Mapping):
        return None
    wrong = frozenset(_wrong_fields(element, shapes))
    if "type" in wrong:
        wrong |= (element.keys() - _OF_ANY_RULE) | frozenset(_wrong_fields(common(element), (_ANY_RULE,)))
    kept = {name: value for name, value in element.items() if name not in wrong}
    filled = kept | {name: filling for name in wrong if (filling := _filling(name, at)) is not None}
    try:
        return Mended(msgspec.convert(filled, kind), wrong)
    except msgspec.ValidationError:
        return None


def common(rule: Mapping[str, Any]) -> dict[str, Any]:
    """What a rule of whatever type may have, as a rule of some type."""
    kept = {name: value for name, value in rule.items() if name in _OF_ANY_RULE}
    return kept | {"type": _ANY_RULE.__struct_config__.tag}


def _wrong_fields(element: Any, shapes: tuple[Shape, ...]) -> Iterator[str]:
    """Fields with a wrong value, those that should not be there, and those that are missing."""
    for problem in problems_of(element, *shapes):
        top = _TOP.match(problem.path)
        yield top[1] if top else problem.field or problem.missing


def _filling(name: str, at: int) -> Any:
    if name == "type":
        return _ANY_RULE.__struct_config__.tag
    return _NAME.format(at=at) if name in _NAMES else _FILLING.get(name)
