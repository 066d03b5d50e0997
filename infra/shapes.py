"""What is wrong with the shape of a table that a person wrote: every field of it, not only the first.

The codec stops at its first complaint. Here each field is judged by itself, an unknown one is told with its
nearest neighbour, and a word that is not one of the allowed ones with those that are.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import msgspec

from infra import wording

Shape = type[msgspec.Struct]


class Problem(NamedTuple):
    """One thing that is wrong, and where: below the table that was judged."""

    path: str
    reason: str
    field: str = ""
    """The name of a field that should not be there."""
    missing: str = ""
    """The name of one that should."""


def problems_of(table: Any, *shapes: Shape) -> Iterator[Problem]:
    """Everything that is wrong with a table that has one of these shapes, which its tag tells apart."""
    if not isinstance(table, Mapping):
        yield Problem("", "must be a table")
        return
    tag, shape = _told_apart(table, shapes)
    if shape is None:
        yield _wrong_tag(table, tag, shapes)
        return
    fields = {field.name: field for field in msgspec.structs.fields(shape)}
    for name in table:
        if name not in fields and name != tag:
            yield Problem("", _unknown(str(name), [*([tag] if tag else []), *fields]), str(name))
    for name, field in fields.items():
        if name in table:
            yield from _of_field(name, table[name], field.type)
        elif field.required:
            yield Problem("", f"the field `{name}` is missing", missing=name)


def located(error: msgspec.ValidationError) -> tuple[str, str]:
    """A complaint of the codec, apart: its place without the `$`, and what is wrong, in words."""
    detail, _, place = str(error).partition(" - at `$")
    words = wording.told(detail)
    return place.rstrip("`"), words[:1].lower() + words[1:]


def _told_apart(table: Mapping[str, Any], shapes: tuple[Shape, ...]) -> tuple[str, Shape | None]:
    """The field that says which shape it is, and that shape."""
    tag = shapes[0].__struct_config__.tag_field or ""
    if not tag:
        return "", shapes[0]
    fitting = [shape for shape in shapes if shape.__struct_config__.tag == table.get(tag)]
    return tag, fitting[0] if fitting else None


def _wrong_tag(table: Mapping[str, Any], tag: str, shapes: tuple[Shape, ...]) -> Problem:
    allowed = _listed(shape.__struct_config__.tag for shape in shapes)
    if tag not in table:
        return Problem("", f"the field `{tag}` is missing: one of {allowed}", missing=tag)
    return Problem(f".{tag}", f"must be one of {allowed}{_nearest(table[tag], allowed)}")


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean `{near[0]}`?" if near else ""
    return f"there is no field `{name}`{hint} (there are: {', '.join(known)})"


def _nearest(word: Any, allowed: str) -> str:
    near = difflib.get_close_matches(str(word), allowed.strip("`").split("`, `"), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


def _of_field(name: str, value: Any, kind: Any) -> Iterator[Problem]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        place, reason = located(error)
        if reason.startswith("invalid enum value") and (allowed := _allowed(kind)):
            reason = f"must be one of {allowed}{_nearest(_at(value, place), allowed)}"
        yield Problem(f".{name}{place}", reason)


def _at(value: Any, place: str) -> Any:
    """The element of a value that a complaint is about."""
    number = place.removeprefix("[").removesuffix("]")
    return value[int(number)] if isinstance(value, list) and number.isdigit() else value


def _allowed(kind: Any) -> str:
    """The words that a field takes, or each element of it, in the order of their declaration."""
    origin = get_origin(kind)
    if origin is Literal:
        return _listed(get_args(kind))
    # Of a list its elements, of something annotated what is annotated: both are the first argument.
    return _allowed(get_args(kind)[0]) if origin in {tuple, Annotated} else ""


def _listed(words: Any) -> str:
    return ", ".join(f"`{word}`" for word in words)
