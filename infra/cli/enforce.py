"""`penstock enforce on|off`: turns blocking on or off; off makes every block a review, on every worker."""

from __future__ import annotations

import argparse

from infra.errors import ExitCode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """On or off."""
    parser.add_argument("state", choices=("on", "off"), help="off: every block becomes a review")


def run(args: argparse.Namespace) -> int:
    """Give the order."""
    from infra.orders import enforcing, give
    from infra.settings import load
    from streams.clock import SystemClock

    obeyed = give(enforcing(SystemClock(), active=args.state == "on"), load(args).settings)
    print(f"enforce {args.state}: {obeyed}")
    return ExitCode.OK
