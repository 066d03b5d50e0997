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

# As many as any list of a policy may have.
_ELEMENTS_MAX = 20_000
_WRONG_ELEMENTS_MAX = 1_000
# To look for the nearest word takes time; behind so many of one table nobody meant a field.
_HINTS_MAX = 20
_QUOTED_MAX = 100


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
    known = [*([tag] if tag else []), *fields]
    for number, name in enumerate(str(name) for name in table if name not in fields and name != tag):
        yield Problem("", _unknown(name, known, has_hint=number < _HINTS_MAX), name)
    for name, field in fields.items():
        if name in table:
            yield from _of_value(f".{name}", table[name], field.type)
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


def _unknown(name: str, known: list[str], *, has_hint: bool) -> str:
    near = difflib.get_close_matches(name[:_QUOTED_MAX], known, n=1) if has_hint else ()
    hint = f"; did you mean `{near[0]}`?" if near else ""
    quoted = name if len(name) <= _QUOTED_MAX else f"{name[:_QUOTED_MAX]}…"
    return f"there is no field `{quoted}`{hint} (there are: {', '.join(known)})"


def _nearest(word: Any, allowed: str) -> str:
    if not isinstance(word, str) or len(word) > _QUOTED_MAX:
        return ""
    near = difflib.get_close_matches(word, allowed.strip("`").split("`, `"), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


def _of_value(path: str, value: Any, kind: Any) -> Iterator[Problem]:
    """What is wrong with a value: of a table each field, of a list each element."""
    if (complaint := missed(value, kind)) is None:
        return
    bare, _ = _without_notes(kind)
    if _is_shape(bare):
        for problem in problems_of(value, bare):
            yield problem._replace(path=f"{path}{problem.path}")
    elif isinstance(value, list) and get_origin(bare) is tuple:
        yield from _of_list(path, value, kind)
    else:
        place, reason = complaint
        if reason.startswith("invalid enum value") and (allowed := _allowed(kind)):
            reason = f"must be one of {allowed}{_nearest(value, allowed)}"
        yield Problem(f"{path}{place}", reason)


def _of_list(path: str, value: list[Any], kind: Any) -> Iterator[Problem]:
    bare, notes = _without_notes(kind)
    element = get_args(bare)[0]
    whole = Annotated[tuple[Any, ...], *notes] if notes else tuple[Any, ...]
    if (complaint := missed(value, whole)) is not None:
        yield Problem(path, complaint[1])
    if _holds_tables(element):
        # Each is judged by itself, where it is known which shapes they may have.
        return
    wrong = 0
    # A list that is longer has to become shorter first.
    for at, one in enumerate(value[:_ELEMENTS_MAX]):
        for problem in _of_value(f"{path}[{at}]", one, element):
            wrong += 1
            if wrong > _WRONG_ELEMENTS_MAX:
                yield Problem(path, f"more than {_WRONG_ELEMENTS_MAX} of its elements are wrong")
                return
            yield problem


def missed(value: Any, kind: Any) -> tuple[str, str] | None:
    """What the codec has against a value, if anything: place and reason."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return located(error)
    return None


def _without_notes(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    return (kind.__origin__, kind.__metadata__) if get_origin(kind) is Annotated else (kind, ())


def _is_shape(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _holds_tables(kind: Any) -> bool:
    return any(map(_is_shape, (kind, *get_args(kind))))


def _allowed(kind: Any) -> str:
    """The words that a field takes, or each element of it, in the order of their declaration."""
    origin = get_origin(kind)
    if origin is Literal:
        return _listed(get_args(kind))
    # Of a list its elements, of something annotated what is annotated: both are the first argument.
    return _allowed(get_args(kind)[0]) if origin in {tuple, Annotated} else ""


def _listed(words: Any) -> str:
    return ", ".join(f"`{word}`" for word in words)
