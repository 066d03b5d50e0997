"""What stands in for an element of a policy file that has a mistake of shape, so that its rest is judged.

A field that is wrong is left out, or filled with something harmless where it must be there; what is then
said of that field, or of the element as a whole, is ours and not the author's, and is not told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from infra.shapes import Shape, missed, problems_of
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
# For an element of a list that is wrong, so that the others keep their numbers.
_ELEMENTS: Mapping[str, str] = {
    "terms": "draft",
    "unless": "draft",
    "patterns": "draft",
    "domains": "draft.example",
    "except_domains": "draft.example",
    "authors": "draft",
    "digests": "0" * 32,
    "kinds": "moderate",
    "matches": "draft",
    "passes": "draft",
}
_NAMES = ("id", "name")
_TOP = re.compile(r"\.(\w+)")
_ELEMENT = re.compile(r"\.(?P<name>\w+)\[(?P<at>\d+)\]")
_THRESHOLDS = frozenset({"label_at", "review_at", "block_at"})
# Of a rule whose type is not known, what all rules have is judged, as of a type that needs no more.
_ANY_RULE = RepetitionRule
_OF_ANY_RULE = frozenset(
    {"type", "id", "action", "label", "mode", "canary_percent", "kinds", "matches", "passes"}
)
BESIDE_THE_TEST = frozenset({"id", "action", "label", "mode", "canary_percent", "kinds", "matches", "passes"})
"""The fields of a rule on which it does not depend what it matches."""


class Mended(NamedTuple):
    """An element that can be judged."""

    element: Any
    fields: frozenset[str] = frozenset()
    """Those that are not the author's, and elements of lists, as `domains[2]`; none: it is whole."""

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
        element = _ELEMENT.match(place)
        return top[1] not in self.fields and (element is None or element[0][1:] not in self.fields)

    @property
    def is_tried(self) -> bool:
        """Whether its examples say something about its author's rule."""
        return all(field.partition("[")[0] in BESIDE_THE_TEST for field in self.fields)


def mended(element: Any, kind: Any, shapes: tuple[Shape, ...], at: int) -> Mended | None:
    """The element with all that is right of it; None where nothing can be judged."""
    if not isinstance(element, Mapping):
        return None
    wrong = frozenset(_wrong_fields(element, shapes))
    if "type" in wrong:
        wrong |= (element.keys() - _OF_ANY_RULE) | frozenset(_wrong_fields(common(element), (_ANY_RULE,)))
    made = _made(element, kind, wrong, at)
    # A file's shapes allow more than a policy's, as a rule that has files needs no terms.
    if isinstance(made, str) and made:
        wrong |= {made}
        made = _made(element, kind, wrong, at)
    return None if isinstance(made, str) else Mended(made, wrong)


def _made(element: Mapping[str, Any], kind: Any, wrong: frozenset[str], at: int) -> Any:
    """The element without what is wrong; the name of one more field that is, where the codec refuses it."""
    kept = {
        name: _filled(name, value, wrong) if isinstance(value, list) else value
        for name, value in element.items()
        if name not in wrong
    }
    filled = kept | {name: filling for name in wrong if (filling := _filling(name, at)) is not None}
    if (complaint := missed(filled, kind)) is None:
        return msgspec.convert(filled, kind)
    top = _TOP.match(complaint[0])
    return top[1] if top else ""


def common(rule: Mapping[str, Any]) -> dict[str, Any]:
    """What a rule of whatever type may have, as a rule of some type."""
    kept = {name: value for name, value in rule.items() if name in _OF_ANY_RULE}
    return kept | {"type": _ANY_RULE.__struct_config__.tag}


def _wrong_fields(element: Any, shapes: tuple[Shape, ...]) -> Iterator[str]:
    """Fields with a wrong value, those that should not be there, and those that are missing."""
    for problem in problems_of(element, *shapes):
        of_list = _ELEMENT.fullmatch(problem.path)
        if of_list is not None and of_list["name"] in _ELEMENTS:
            yield problem.path[1:]
            continue
        top = _TOP.match(problem.path)
        yield top[1] if top else problem.field or problem.missing


def _filled(name: str, value: list[Any], wrong: frozenset[str]) -> list[Any]:
    """A list with what stands in for its wrong elements."""
    if name not in _ELEMENTS:
        return value
    return [_ELEMENTS[name] if f"{name}[{at}]" in wrong else one for at, one in enumerate(value)]


def _filling(name: str, at: int) -> Any:
    if name == "type":
        return _ANY_RULE.__struct_config__.tag
    return _NAME.format(at=at) if name in _NAMES else _FILLING.get(name)
