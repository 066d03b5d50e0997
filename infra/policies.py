"""Policies as files: reading, checking, and where the one that Penstock brings along lies.

A file is TOML (or JSON, by its ending) in the shape of `schemas.policy.Policy`. All that is wrong with it is
told at once, each thing with its place. Publishing is `infra.policy_topic`'s.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

import policies
from infra.drafting import Draft, drafted
from infra.errors import ExitCode, Failure
from infra.places import Places
from schemas.wire import POLICY_BYTES_MAX, encode
from streams.core.rules import BadPolicy, CompiledPolicy, compile_policy
from streams.core.vetting import PolicyProblem

# The topic takes records of 4 MiB, in which the key and Kafka's own bytes must find room beside a document.
DOCUMENT_BYTES_MAX = POLICY_BYTES_MAX - (64 << 10)

# As tomllib says it.
_PLACE = re.compile(r"at line (?P<line>\d+), column (?P<column>\d+)")


def default_policy_path() -> Path:
    """The policy that Penstock brings along: in a checkout and in an installed wheel alike."""
    return Path(policies.__file__).parent / "default.toml"


def check(path: Path) -> list[PolicyProblem]:
    """Everything that is wrong with a policy file; empty if it may be published."""
    try:
        read(path)
    except BadPolicy as bad:
        return list(bad.problems)
    return []


def read(path: Path) -> CompiledPolicy:
    """The policy of a file, checked whole and ready to run, or `BadPolicy`, or `Failure` if unreadable."""
    text = _text_of(path)
    draft = drafted(_parsed(text, is_json=path.suffix == ".json"), path.parent)
    if draft.problems:
        raise BadPolicy(_placed(draft, text))
    compiled = compile_policy(draft.policy)
    size = len(encode(draft.policy))
    if size > DOCUMENT_BYTES_MAX:
        raise BadPolicy([PolicyProblem("$", f"{size} bytes as a document, {DOCUMENT_BYTES_MAX} are allowed")])
    return compiled


def bad_policy(source: str, problems: Sequence[PolicyProblem]) -> Failure:
    """A bad policy as the command line tells it: one line for each problem."""
    count = f"{len(problems)} mistakes" if len(problems) != 1 else "1 mistake"
    lines = "".join(f"\n  {_line(problem)}" for problem in problems)
    return Failure(f"{source} cannot be used, it has {count}:{lines}", exit_code=ExitCode.POLICY)


def _line(problem: PolicyProblem) -> str:
    return f"line {problem.line}, column {problem.column}: {problem}" if problem.line else str(problem)


def _placed(draft: Draft, text: str) -> list[PolicyProblem]:
    """The problems in the order of the file, each with its place."""
    places = Places(text)
    placed = [
        problem._replace(line=place.line, column=place.column)
        for problem, field in draft.problems
        for place in (places.of(problem.path, field),)
    ]
    return sorted(placed, key=lambda problem: (problem.line, problem.column))


def _text_of(path: Path) -> str:
    try:
        # What is longer cannot become a document of the allowed size, comments aside; nor fill the memory.
        if path.stat().st_size > 2 * POLICY_BYTES_MAX:
            raise BadPolicy([PolicyProblem("$", f"the file is larger than {2 * POLICY_BYTES_MAX} bytes")])
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Failure(
            f"The policy file {path} cannot be read: {error.strerror}.", exit_code=ExitCode.POLICY
        ) from None
    except UnicodeDecodeError as error:
        raise BadPolicy([PolicyProblem("$", f"not UTF-8 at byte {error.start}")]) from None


def _parsed(text: str, *, is_json: bool = False) -> Any:
    """The document's table: of TOML, or of JSON as `policy show --json` writes it."""
    try:
        return msgspec.json.decode(text) if is_json else tomllib.loads(text)
    except msgspec.DecodeError as error:
        raise BadPolicy([PolicyProblem("$", f"not JSON: {error}")]) from None
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        line, column = (int(place["line"]), int(place["column"])) if place else (0, 0)
        raise BadPolicy([PolicyProblem("$", f"not TOML: {error}", line=line, column=column)]) from None
    except RecursionError:
        raise BadPolicy([PolicyProblem("$", "not TOML that can be read: nested too deeply")]) from None
