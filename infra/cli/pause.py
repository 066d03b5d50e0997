"""`penstock pause`: holds back a priority, or all, on every worker; what is under way is finished."""

from __future__ import annotations

import argparse

from infra.errors import ExitCode
from schemas.event import PRIORITIES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which priority."""
    parser.add_argument(
        "priority",
        metavar="PRIORITY",
        nargs="?",
        choices=(*PRIORITIES, "all"),
        default="all",
        help=f"{', '.join(PRIORITIES)}, or all (the default)",
    )


def run(args: argparse.Namespace) -> int:
    """Give the order."""
    return order(args.priority, args, active=True)


def order(priority: str, args: argparse.Namespace, *, active: bool) -> ExitCode:
    """Hold back, or let go on."""
    from infra.orders import give, pauses
    from infra.settings import load
    from streams.clock import SystemClock

    obeyed = give(pauses(priority, SystemClock(), active=active), load(args).settings)
    print(f"{priority} {'paused' if active else 'resumed'}: {obeyed}")
    return ExitCode.OK
