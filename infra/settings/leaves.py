"""The leaves of the settings tree: each path with its type, bound, default, description and moment of effect.

Everything that talks about settings one by one (the reader, `config show`, the reference page, the reloader)
works from this list, so that a field added to `schemas/settings.py` is known everywhere. Reads no source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from inspect import cleandoc
from typing import Any, Literal

import msgspec
from msgspec import inspect

from schemas.patterns import in_words
from schemas.settings import NodeSettings, Secret, Settings

# A value is shown on one line of a terminal; nobody needs more of a mistaken value than this to recognise it.
SHOWN_CHARS_MAX = 120
# Credentials that someone put into an address: before the host, or behind it as a parameter.
# Of an address with a scheme, or of one of a list without: `user:password@host:9092`.
_USERINFO = re.compile(r"(?<=://)[^/@\s]*@|(?:^|(?<=,))\s*[^\s,:/]+:(?!//)[^\s,]*@")
_PARAMETER = re.compile(r"(?i)((?:token|password|secret|key)\w*=)[^&#,\s]*")
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """One setting. `path` is dotted; the leaves of a node carry no `nodes[0].` before their name."""

    path: str
    annotation: Any
    kind: inspect.Type
    description: str
    reload: Literal["live", "restart"]
    is_marked: bool
    """Whether the declaration says when it takes effect; a test demands it."""
    default: Any

    @property
    def is_secret(self) -> bool:
        """Whether its value must never be shown."""
        return isinstance(self.kind, inspect.CustomType) and self.kind.cls is Secret

    @property
    def is_nodes(self) -> bool:
        """Whether it is the list of nodes, the one setting that is not a scalar."""
        return isinstance(self.kind, inspect.VarTupleType)

    @property
    def bound(self) -> str:
        """What a value must be, as the end of the sentence `... must be`."""
        return _bound(self.kind)


@cache
def leaves() -> dict[str, Leaf]:
    """All settings by path, in the order of their declaration."""
    return {leaf.path: leaf for leaf in _walk(Settings, "")}


@cache
def node_leaves() -> dict[str, Leaf]:
    """The settings of one node by name."""
    return {leaf.path: leaf for leaf in _walk(NodeSettings, "")}


@cache
def branches() -> dict[str, str]:
    """The sections of the tree, each with its description."""
    info = inspect.type_info(Settings)
    fields = info.fields if isinstance(info, inspect.StructType) else ()
    sections = {field.name: _bare(field.type) for field in fields}
    return {
        name: cleandoc(kind.cls.__doc__ or "")
        for name, kind in sections.items()
        if isinstance(kind, inspect.StructType)
    }


def value_at(settings: Settings, path: str) -> Any:
    """The value of one leaf."""
    value: Any = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value


def parse(leaf: Leaf, text: str) -> Any:
    """Text as the leaf's type wants it; other text is returned unchanged and then fails its check."""
    match leaf.kind:
        case inspect.BoolType():
            word = text.strip().lower()
            return True if word in _TRUE else False if word in _FALSE else text
        case inspect.IntType():
            return _number(int, text)
        case inspect.FloatType():
            return _number(float, text)
        case inspect.LiteralType(values=values) if all(isinstance(value, int) for value in values):
            return _number(int, text)
        case inspect.CustomType():
            return Secret(text)
        case _:
            return text


def is_allowed(leaf: Leaf, value: Any) -> bool:
    """Whether the value has the leaf's type and stands within its bound."""
    if leaf.is_secret:
        return isinstance(value, Secret)
    if isinstance(value, str) and not value.isprintable():
        return False
    try:
        msgspec.convert(value, leaf.annotation)
    except msgspec.ValidationError:
        return False
    return not isinstance(value, float) or value == value  # noqa: PLR0124  NaN passes every comparison with a bound.


def shown(leaf: Leaf | None, value: Any) -> str:
    """A value as it may be printed: secrets and credentials inside addresses masked, on one line."""
    if leaf is None or leaf.is_secret:
        return "***" if value or leaf is None else '""'
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{printable(mask(value))}"'
        case int() if abs(value) >= 1 << 64:
            # Python refuses to print the very large ones, and so do we.
            return "a number of more than 64 bits"
        case int() | float():
            return str(value)
        case dict():
            return "a table"
        case list() | tuple():
            return "a list"
        case _:
            return f"a {type(value).__name__}"


def mask(text: str) -> str:
    """Text without the credentials that an address in it may hold."""
    return _PARAMETER.sub(r"\1***", _USERINFO.sub("***@", text))


def printable(text: str) -> str:
    """Text that was given to us, for one line of a terminal: short, control characters escaped."""
    cut = text if len(text) <= SHOWN_CHARS_MAX else text[:SHOWN_CHARS_MAX] + "..."
    return cut.encode("unicode_escape").decode("ascii").replace('"', '\\"')


def _walk(struct: type[msgspec.Struct], prefix: str) -> Iterator[Leaf]:
    info = inspect.type_info(struct)
    if not isinstance(info, inspect.StructType):
        return
    annotations = {field.name: field.type for field in msgspec.structs.fields(struct)}
    for field in info.fields:
        kind = _bare(field.type)
        if isinstance(kind, inspect.StructType):
            yield from _walk(kind.cls, f"{prefix}{field.name}.")
            continue
        said = field.type if isinstance(field.type, inspect.Metadata) else inspect.Metadata(kind)
        yield Leaf(
            path=prefix + field.name,
            annotation=annotations[field.name],
            kind=kind,
            description=str((said.extra_json_schema or {}).get("description", "")),
            reload=(said.extra or {}).get("reload", "restart"),
            is_marked="reload" in (said.extra or {}),
            default=_default(field),
        )


def _bare(kind: inspect.Type) -> inspect.Type:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def _default(field: inspect.Field) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return None if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _number(kind: type[int | float], text: str) -> int | float | str:
    try:
        return kind(text.strip())
    except ValueError:
        return text


def _bound(kind: inspect.Type) -> str:
    match kind:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=low, le=high):
            return "a whole number" + _range(low, high)
        case inspect.FloatType(ge=low, le=high):
            return "a number" + _range(low, high)
        case inspect.LiteralType(values=values):
            words = [str(value) for value in values]
            return "one of " + ", ".join(words)
        case inspect.StrType(min_length=low, max_length=high, pattern=pattern):
            parts = [f"at least {low} characters long"] if low else []
            parts += [f"at most {high} characters long"] if high is not None else []
            text = "printable text" + (" " + " and ".join(parts) if parts else "")
            return text if pattern is None else in_words(pattern) or f"{text} of the form {pattern}"
        case inspect.VarTupleType(max_length=high):
            return f"a list of at most {high} nodes"
        case _:
            return "text"


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    return f", at least {low}" if low is not None else ""
