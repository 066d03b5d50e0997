"""Where settings come from: the TOML file, the environment, the flags. First of two steps of the reader.

Each source is flattened into what it gives, as it was written, with where it was written; `reading` judges.
This is the one place of Penstock that looks at the process's environment.
"""

from __future__ import annotations

import argparse
import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from infra.settings.leaves import branches, leaves, mask, printable

ENVIRONMENT_PREFIX = "PENSTOCK__"
ENVIRONMENT_CONFIG = "PENSTOCK_CONFIG"
DEFAULT_FILE = "penstock.toml"
# A settings file is written by hand: one that is larger was named by mistake.
FILE_BYTES_MAX = 1 << 20


class Origin(msgspec.Struct, frozen=True):
    """Where a value was written."""

    source: Literal["default", "file", "environment", "flag"]
    place: str

    def __str__(self) -> str:
        return self.place


DEFAULT = Origin("default", "default")


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a source says. `base` is the directory where its relative secret files are."""

    path: str
    value: Any
    origin: Origin
    base: Path
    is_text: bool
    """Whether the value is still text, to be read as its leaf's type; TOML has types of its own."""


class Mistake(msgspec.Struct, frozen=True):
    """What is wrong with the settings: where, and a sentence that never holds a secret."""

    path: str
    sentence: str


class Flag(msgspec.Struct, frozen=True):
    """One setting of the command line: how it was spelled there, and what it says."""

    spelling: str
    path: str
    text: str


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the reader looks at; kept, so that a reload looks at the same."""

    config: str | None = None
    environ: Mapping[str, str] = msgspec.field(default_factory=dict)
    flags: tuple[Flag, ...] = ()
    directory: Path = Path()

    @classmethod
    def of(cls, args: argparse.Namespace, environ: Mapping[str, str] | None = None) -> Sources:
        """The sources of this process, with the command's global flags."""
        return cls(
            config=getattr(args, "config", None),
            environ=dict(os.environ if environ is None else environ),
            flags=tuple(_flags(args)),
        )

    def file(self) -> Path | None:
        """The settings file: the one named, else `penstock.toml` of the current directory if there is one."""
        named = self.config or self.environ.get(ENVIRONMENT_CONFIG)
        if named:
            return self.directory / named
        found = self.directory / DEFAULT_FILE
        return found if found.is_file() else None

    def arguments(self) -> list[str]:
        """The global flags that hand a child process the same settings; it inherits the environment."""
        config = [f"--config={self.config}"] if self.config else []
        return config + [f"--set={flag.path}={flag.text}" for flag in self.flags]

    def read(self) -> tuple[list[Given], list[Mistake]]:
        """What all sources say, the weakest first, and what cannot be read."""
        path = self.file()
        found = list(_in_file(path)) if path is not None else []
        mistakes = [one for one in found if isinstance(one, Mistake)]
        given = [one for one in found if isinstance(one, Given)]
        given += _in_environment(self.environ, self.directory)
        mistakes += _nearly_in_environment(self.environ)
        for flag in self.flags:
            if flag.path:
                origin = Origin("flag", flag.spelling)
                given.append(
                    Given(path=flag.path, value=flag.text, origin=origin, base=self.directory, is_text=True)
                )
            else:
                said = printable(mask(flag.text))
                mistakes.append(
                    Mistake("", f"{flag.spelling} {said}: must be path=value, as in kafka.linger_ms=10")
                )
        return given, mistakes


def _flags(args: argparse.Namespace) -> Iterator[Flag]:
    for text in getattr(args, "set", None) or ():
        path, equals, value = str(text).partition("=")
        # Without a path it is a mistake, and is told with what stands there.
        yield Flag("--set", path.strip() if equals else "", value if equals and path.strip() else str(text))
    for name, path in (("bootstrap", "kafka.bootstrap"), ("data_dir", "data_dir")):
        named = getattr(args, name, None)
        if named is not None:
            yield Flag("--" + name.replace("_", "-"), path, str(named))


def _in_environment(environ: Mapping[str, str], directory: Path) -> list[Given]:
    return [
        Given(
            path=name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", "."),
            value=environ[name],
            origin=Origin("environment", name),
            base=directory,
            is_text=True,
        )
        for name in sorted(environ)
        if name.startswith(ENVIRONMENT_PREFIX)
    ]


def _nearly_in_environment(environ: Mapping[str, str]) -> list[Mistake]:
    """Variables that plainly mean a setting and are none: `PENSTOCK_KAFKA_LINGER_MS`.

    What resembles no setting may be another's: of a service that is called `penstock` Kubernetes makes
    variables of its own.
    """
    spelt = {path.replace(".", "_"): path for path in leaves()}
    mistakes = []
    for name in sorted(environ):
        if name.startswith(ENVIRONMENT_PREFIX) or not name.startswith(ENVIRONMENT_PREFIX[:-1]):
            continue
        word = name.removeprefix(ENVIRONMENT_PREFIX[:-1]).lower().replace("__", "_")
        near = difflib.get_close_matches(word, spelt, n=1, cutoff=0.85)
        if near and name != ENVIRONMENT_CONFIG:
            meant = ENVIRONMENT_PREFIX + spelt[near[0]].upper().replace(".", "__")
            mistakes.append(Mistake("", f"{printable(name)}: is no setting; did you mean {meant}?"))
    return mistakes


def _in_file(path: Path) -> Iterator[Given | Mistake]:
    try:
        with path.open("rb") as stream:
            content = stream.read(FILE_BYTES_MAX + 1)
        text = content.decode("utf-8")
        table = tomllib.loads(text)
    except OSError as error:
        yield Mistake("", f"the settings file {path} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        yield Mistake("", f"the settings file {path} is not UTF-8 text")
    except tomllib.TOMLDecodeError as error:
        # Its message names the line and never quotes a value; one character at the most.
        yield Mistake("", f"the settings file {path} is not TOML: {error}")
    except (ValueError, RecursionError):
        # A number of thousands of digits, a nesting of thousands of brackets, a zero byte in the file's name.
        yield Mistake("", f"the settings file {path} cannot be read as TOML")
    else:
        if len(content) > FILE_BYTES_MAX:
            yield Mistake("", f"the settings file {path} is larger than {FILE_BYTES_MAX} bytes")
            return
        lines = _lines(text)
        for dotted, value in _flatten(table):
            place = f"{path}:{lines[dotted]}" if dotted in lines else str(path)
            origin = Origin("file", place)
            yield Given(path=dotted, value=value, origin=origin, base=path.parent, is_text=False)


def _flatten(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """One pair for each key; only existing sections are opened, so a mistyped one is named as a whole."""
    for name, value in table.items():
        if name in branches() and isinstance(value, dict):
            for inner, leaf in value.items():
                yield f"{name}.{inner}", leaf
        else:
            yield name, value


def _lines(text: str) -> dict[str, int]:
    """The line of each plainly written key; keys written in a rarer way are named without a line."""
    section = ""
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.strip()
        if bare.startswith("["):
            section = bare.strip("[] \t").partition("]")[0]
            lines.setdefault(section, number)
        elif "=" in bare and not bare.startswith("#"):
            name = bare.partition("=")[0].strip()
            lines.setdefault(f"{section}.{name}" if section else name, number)
    return lines
