"""docs/cli.md is about the command line that there is: every command, every flag, every exit code."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import pytest

from infra import cli
from infra.cli.exit_codes import table
from infra.errors import ExitCode

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
# Told once for all commands, or by another page.
ELSEWHERE = {"--help", "--config", "--data-dir", "--bootstrap", "--set", "--debug"}


def _flags(parser: argparse.ArgumentParser) -> set[str]:
    found = set()
    for action in parser._actions:  # noqa: SLF001  argparse has no public list.
        found |= {option for option in action.option_strings if option.startswith("--")}
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, inner in action.choices.items():
                found |= {name, *_flags(inner)}
    return found


def test_the_table_of_exit_codes_is_that_of_the_declarations() -> None:
    assert table().count("\n") == len(ExitCode) + 2
    assert table() in PAGE, f"docs/cli.md should hold this table:\n{table()}"


def test_every_command_has_its_section() -> None:
    assert [name for name in cli.COMMANDS if f"\n### {name}\n" not in PAGE] == []


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_flag_of_a_command_is_told_in_its_section(name: str) -> None:
    parser = cli.command_parser(name)
    importlib.import_module(cli.COMMANDS[name][0]).add_arguments(parser)
    section = PAGE.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
    missing = {flag for flag in _flags(parser) - ELSEWHERE if flag not in section}
    assert missing == set()
