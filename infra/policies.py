"""Policies as files: reading, checking, and where the one that Penstock brings along lies.

A file is TOML (or JSON, by its ending) in the shape of `schemas.policy.Policy`. All that is wrong with it is
told at once, each thing with its place. Publishing is `infra.policy_topic`'s.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec

import policies
from infra.errors import ExitCode, Failure
from infra.shapes import Shape, located, problems_of
from schemas.policy import Label, Policy, Prompt, Rule
from schemas.wire import POLICY_BYTES_MAX, encode
from streams.core.examples import example_problems
from streams.core.rules import BadPolicy, CompiledPolicy, compile_policy
from streams.core.vetting import PolicyProblem

# The topic takes records of 4 MiB, in which the key and Kafka's own bytes must find room beside a document.
DOCUMENT_BYTES_MAX = POLICY_BYTES_MAX - (64 << 10)

# The sections whose elements are judged one by one, so that one mistake does not hide the next.
_ELEMENTS: Mapping[str, tuple[Shape, ...]] = {
    "labels": (Label,),
    "prompts": (Prompt,),
    "rules": get_args(Rule),
}


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
    policy = _policy_of(_parsed(_text_of(path), is_json=path.suffix == ".json"))
    compiled = compile_policy(policy)
    if problems := example_problems(policy):
        raise BadPolicy(problems)
    size = len(encode(policy))
    if size > DOCUMENT_BYTES_MAX:
        raise BadPolicy([PolicyProblem("$", f"{size} bytes as a document, {DOCUMENT_BYTES_MAX} are allowed")])
    return compiled


def bad_policy(source: str, problems: Sequence[PolicyProblem]) -> Failure:
    """A bad policy as the command line tells it: one line for each problem."""
    count = f"{len(problems)} mistakes" if len(problems) != 1 else "1 mistake"
    lines = "".join(f"\n  {problem}" for problem in problems)
    return Failure(f"{source} cannot be used, it has {count}:{lines}", exit_code=ExitCode.POLICY)


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
        # It names line and column.
        raise BadPolicy([PolicyProblem("$", f"not TOML: {error}")]) from None
    except RecursionError:
        raise BadPolicy([PolicyProblem("$", "not TOML that can be read: nested too deeply")]) from None


def _policy_of(table: Any) -> Policy:
    if not isinstance(table, dict):
        raise BadPolicy([PolicyProblem("$", "must be a table")])
    if problems := [*_own_problems(table), *_element_problems(table)]:
        raise BadPolicy(problems)
    try:
        return msgspec.convert(table, Policy)
    except msgspec.ValidationError as error:
        place, reason = located(error)
        raise BadPolicy([PolicyProblem(f"${place}", reason)]) from None


def _own_problems(table: Mapping[str, Any]) -> Iterator[PolicyProblem]:
    """Of the document itself; what is wrong within its sections is told of their elements."""
    for problem in problems_of(table, Policy):
        section = problem.path[1:].partition("[")[0]
        if section not in _ELEMENTS or problem.path == f".{section}":
            yield PolicyProblem(f"${problem.path}", problem.reason)


def _element_problems(table: Mapping[str, Any]) -> Iterator[PolicyProblem]:
    for section, shapes in _ELEMENTS.items():
        elements = table.get(section)
        for at, element in enumerate(elements if isinstance(elements, list) else ()):
            named = element.get("id", "") if isinstance(element, dict) and section == "rules" else ""
            for problem in problems_of(element, *shapes):
                yield PolicyProblem(f"$.{section}[{at}]{problem.path}", problem.reason, str(named))
