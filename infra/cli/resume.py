"""`penstock resume`: lets a priority, or all, go on, on every worker."""

from __future__ import annotations

import argparse

from infra.cli import pause


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which priority."""
    pause.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Give the order."""
    return pause.order(args.priority, args, active=False)
