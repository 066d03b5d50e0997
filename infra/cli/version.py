"""`penstock version`: this Penstock, its Python and its system, as a report of a problem needs them."""

from __future__ import annotations

import argparse
import platform

from infra.errors import ExitCode
from infra.version import version


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`version` has no arguments of its own."""


def run(args: argparse.Namespace) -> int:
    del args
    print(
        f"penstock {version()} (Python {platform.python_version()}, {platform.system()} {platform.machine()})"
    )
    return ExitCode.OK
