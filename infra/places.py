"""Where in a TOML or JSON text each value stands: line and column of `$.rules[3].patterns[0]`.

The parsers tell places of syntax errors only. This reads a text that a parser has taken already, so it need
not judge: it only walks over keys, strings, lists and tables, once, and writes down where each begins.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from typing import NamedTuple

import msgspec

_BLANK = re.compile(r"(?:[\s,]|#[^\n]*)*")
_KEY = re.compile(r"[A-Za-z0-9_-]+|\"(?:[^\"\\]|\\.)*\"|'[^']*'")
_BARE = re.compile(r"[^,\]}#\n]+")
_STRINGS = {
    '"""': re.compile(r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}', re.DOTALL),
    "'''": re.compile(r"'''(?:[^']|'{1,2}(?!'))*'{3,5}", re.DOTALL),
    '"': re.compile(r'"(?:[^"\\]|\\.)*"'),
    "'": re.compile(r"'[^']*'"),
}
# A policy is five deep. Below this everything is told where the value stands that holds it: a key of 20,000
# parts would else be 20,000 paths, each longer than the one before.
DEPTH_MAX = 16


class Place(NamedTuple):
    """Counted from 1, as editors do."""

    line: int
    column: int


def place_at(text: str, character: int) -> Place:
    """Where the character of this number stands; the end for what is beyond it."""
    at = min(character, len(text))
    return Place(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))


class Places:
    """The places of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._is_json = text.lstrip().startswith("{")
        self._lines = [0, *(end.end() for end in re.finditer("\n", text))]
        self._values: dict[str, int] = {"$": 0}
        self._keys: dict[str, int] = {}
        self._tables: dict[str, int] = {}
        try:
            self._read()
        except (RecursionError, IndexError, ValueError):
            # Nested too deeply, or not a text that a parser has taken: what was found so far is told.
            return

    def __repr__(self) -> str:
        return f"<Places of {len(self._values)} values>"

    def of(self, path: str, field: str = "") -> Place:
        """Where a value begins; of something that is not there, where what should hold it begins.

        With the name of a field of it, where that field's name stands.
        """
        if field and (key := self._keys.get(f"{path}.{field}")) is not None:
            return self._place(key)
        while path not in self._values and path:
            path = re.sub(r"(\.[^.\[]*|\[\d+\])\Z", "", path) if path != "$" else ""
        return self._place(self._values.get(path, 0))

    def _place(self, at: int) -> Place:
        line = bisect_right(self._lines, at)
        return Place(line, at - self._lines[line - 1] + 1)

    def _read(self) -> None:
        text, table = self._text, "$"
        at = self._skip(0)
        if text.startswith("{", at):
            self._value(at, "$")
            return
        while at < len(text):
            if text.startswith("[", at):
                at, table = self._header(at)
            else:
                at = self._pair(at, table)
            at = self._skip(at)

    def _skip(self, at: int) -> int:
        found = _BLANK.match(self._text, at)
        return found.end() if found else at

    def _header(self, at: int) -> tuple[int, str]:
        """`[table]` or `[[one of several]]`: its end, and the path of what follows."""
        begin, is_list = at, self._text.startswith("[[", at)
        names, at = self._dotted(at + 1 + is_list)
        path = "$"
        names = names[:DEPTH_MAX]
        for name in names[:-1]:
            path = self._inner(f"{path}.{name}")
        path = f"{path}.{names[-1]}"
        if is_list:
            self._values.setdefault(path, begin)
            number = self._tables.get(path, 0)
            self._tables[path] = number + 1
            path = f"{path}[{number}]"
        self._values.setdefault(path, begin)
        self._keys.setdefault(path, begin)
        return self._text.index("]", at) + 1 + is_list, path

    def _inner(self, path: str) -> str:
        """Of a list of tables the one that was begun last."""
        return f"{path}[{self._tables[path] - 1}]" if path in self._tables else path

    def _pair(self, at: int, table: str) -> int:
        """`a.b = value`, or `"a": value`: its end."""
        begin = at
        names, at = self._dotted(at)
        path = table
        for name in names[:DEPTH_MAX]:
            path = f"{path}.{name}"
            self._keys.setdefault(path, begin)
            self._values.setdefault(path, begin)
        # The equals sign, or JSON's colon.
        return self._value(self._skip(self._skip(at) + 1), path)

    def _dotted(self, at: int) -> tuple[list[str], int]:
        names: list[str] = []
        while True:
            found = _KEY.match(self._text, self._skip(at))
            if found is None:
                raise IndexError(at)
            names.append(self._unquoted(found[0]))
            at = self._skip(found.end())
            if not self._text.startswith(".", at):
                return names, at
            at += 1

    def _unquoted(self, key: str) -> str:
        """A key as the parser reads it."""
        if "\\" not in key or key.startswith("'"):
            return key.strip("\"'")
        if self._is_json:
            return str(msgspec.json.decode(key))
        return str(next(iter(tomllib.loads(f"{key} = 0"))))

    def _value(self, at: int, path: str) -> int:
        """Any value: its end."""
        text = self._text
        self._values[path] = at
        if text[at] == "[":
            at, number = self._skip(at + 1), 0
            while text[at] != "]":
                at = self._skip(self._value(at, f"{path}[{number}]"))
                number += 1
            return at + 1
        if text[at] == "{":
            at = self._skip(at + 1)
            while text[at] != "}":
                at = self._skip(self._pair(at, path))
            return at + 1
        shape = next((_STRINGS[sign] for sign in _STRINGS if text.startswith(sign, at)), _BARE)
        found = shape.match(text, at)
        if found is None:
            raise IndexError(at)
        return found.end()
