"""What the doctor found: one thing, how it is, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from infra.errors import ExitCode
from infra.terminal import safe

Level = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    level: Level
    detail: str
    advice: str = ""
    exit_code: int = ExitCode.OK
    """With which code a command fails that needs this; 0 unless the level is `fail`."""


def ok(name: str, detail: str) -> Finding:
    """Nothing to do."""
    return Finding(name=name, level="ok", detail=detail)


def warn(name: str, detail: str, advice: str) -> Finding:
    """It works, or `up` will see to it; it is worth knowing."""
    return Finding(name=name, level="warn", detail=detail, advice=advice)


def fail(name: str, detail: str, advice: str, exit_code: ExitCode) -> Finding:
    """It does not work like this."""
    return Finding(name=name, level="fail", detail=detail, advice=advice, exit_code=exit_code)


def exit_code_of(found: Iterable[Finding]) -> int:
    """That of the first that fails: later ones often follow from it."""
    return next((finding.exit_code for finding in found if finding.level == "fail"), ExitCode.OK)


def line(finding: Finding) -> str:
    """One finding for a person."""
    advice = f"\n      → {safe(finding.advice)}" if finding.advice else ""
    return f"{finding.level:<4}  {finding.name:<15}  {safe(finding.detail)}{advice}"
