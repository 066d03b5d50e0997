"""The table of exit codes for docs/cli.md, from the declarations in `infra.errors`; a test compares them."""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path

from infra import errors


def table() -> str:
    """The codes and what each says, as Markdown."""
    rows = [f"| {code} | {said} |" for code, said in _declared()]
    return "\n".join(["| code | says |", "|---|---|", *rows]) + "\n"


def _declared() -> list[tuple[int, str]]:
    # A docstring below a member is for readers and documentation; at run time Python does not keep it.
    tree = ast.parse(Path(errors.__file__).read_text(encoding="utf-8"))
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "ExitCode")
    declared: list[tuple[int, str]] = []
    for member, said in pairwise(body):
        match member, said:
            case (
                ast.Assign(value=ast.Constant(value=int(code))),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                declared.append((code, text))
            case _:
                continue
    return declared
