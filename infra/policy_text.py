"""A policy file as text, and the table in it: what keeps either from being read is told with its place.

A file may be anything: too large, no UTF-8, no TOML, or made to keep the parser busy. What the table should
look like is `infra.drafting`'s.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from infra.errors import ExitCode, Failure
from infra.places import Place, place_at
from schemas.wire import POLICY_BYTES_MAX
from streams.core.rules import BadPolicy
from streams.core.vetting import PolicyProblem

KEY_PARTS_MAX = 20
"""Of a dotted key. A policy's have two at most; the parser takes 5 s for one of 20,000 parts."""

# As tomllib and the JSON decoder say it.
_PLACE = re.compile(r"at line (?P<line>\d+), column (?P<column>\d+)")
_BYTE = re.compile(r" \(byte (?P<byte>\d+)\)\Z")
_PART = r"(?:[\w-]++|\"[^\"\\\n]*+\"|'[^'\n]*+')"
_LONG_KEY = re.compile(
    rf"(?:^[ \t]*+\[?+\[?+|[{{,])[ \t]*+(?={_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{KEY_PARTS_MAX}}})",
    re.MULTILINE,
)
# Of more digits Python makes no number: that takes time that grows with their square.
_LONG_NUMBER = re.compile(r"(?<![\w.])[-+]?\d(?:_?\d){18,}+")
_NEST = re.compile(r"(?:[\[{]\s*+){64}")


def policy_text(path: Path) -> str:
    """What a policy file says, or `BadPolicy`, or a `Failure` where it cannot be read."""
    # What is longer cannot become a document of the allowed size, comments aside; nor fill the memory.
    bytes_max = 2 * POLICY_BYTES_MAX
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except (OSError, ValueError) as error:
        raise Failure(
            f"The policy file {path} cannot be read: {_why(error)}.", exit_code=ExitCode.POLICY
        ) from None
    if len(data) > bytes_max:
        _refuse(f"the file is larger than {bytes_max} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        _refuse(f"not UTF-8 at byte {error.start}", place_at(before, len(before)))


def parsed(text: str, *, is_json: bool = False) -> Any:
    """The table in a text: of TOML, or of JSON as `policy show --json` writes it."""
    return _json(text) if is_json else _toml(text)


def regular_file(path: Path, bytes_max: int) -> bytes:
    """What a file holds, one byte more than allowed at most; an `OSError` for what is no file, as a pipe.

    Nobody may ever write to a pipe, and there is no end to what some devices hold.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(0, "Not a regular file")
        return file.read(bytes_max + 1)


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.ValidationError as error:
        # Of shapes none is asked for here; only numbers can be too large.
        _refuse(f"not JSON: {error}", _first(_LONG_NUMBER, text))
    except msgspec.DecodeError as error:
        byte = _BYTE.search(str(error))
        # Without a byte it is the end that came too soon.
        before = text.encode()[: int(byte["byte"])].decode(errors="ignore") if byte else text
        _refuse(f"not JSON: {_BYTE.sub('', str(error))}", place_at(text, len(before)))
    except RecursionError:
        _refuse("not JSON that can be read: nested too deeply", _first(_NEST, text))


def _toml(text: str) -> Any:
    if (long := _LONG_KEY.search(text)) is not None:
        _refuse(f"a key of more than {KEY_PARTS_MAX} parts", place_at(text, long.end()))
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _PLACE.search(str(error))
        # Without a place it is at the end of the document.
        place = Place(int(found["line"]), int(found["column"])) if found else place_at(text, len(text))
        _refuse(f"not TOML: {error}", place)
    except RecursionError:
        _refuse("not TOML that can be read: nested too deeply", _first(_NEST, text))
    except ValueError:
        # Python makes no number of so many digits.
        _refuse("not TOML that can be read: a number of too many digits", _first(_LONG_NUMBER, text))


def _first(pattern: re.Pattern[str], text: str) -> Place:
    """Where something first stands; the beginning if it does not."""
    found = pattern.search(text)
    return place_at(text, found.start() if found else 0)


def _refuse(reason: str, place: Place = Place(1, 1)) -> NoReturn:  # noqa: B008  It never changes.
    raise BadPolicy([PolicyProblem("$", reason, line=place.line, column=place.column)]) from None


def _why(error: OSError | ValueError) -> str:
    # A NUL in a name is a `ValueError`.
    return (isinstance(error, OSError) and error.strerror) or str(error)
