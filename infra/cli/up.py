"""`penstock up`: everything in one supervised tree of processes, until Ctrl-C or enough verdicts."""

from __future__ import annotations

import argparse
import sys

from infra.errors import ExitCode, Failure

# A rate beyond this is a load test, and the demonstration's one producer would not hold it.
_RATE_PER_S_MAX = 5_000.0
# As in the settings (`supervise.workers`); here so that the flag is named, and not its setting.
_WORKERS_MAX = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to start, and when to stop."""
    parser.add_argument("--workers", metavar="N", type=int, help="worker processes (supervise.workers)")
    parser.add_argument(
        "--no-kafka", action="store_true", help="do not start the embedded Kafka; it must run"
    )
    parser.add_argument("--demo", action="store_true", help="send events of our own, and show their verdicts")
    parser.add_argument(
        "--rate", metavar="R", type=float, default=20.0, help="events a second of the demo (default: 20)"
    )
    parser.add_argument(
        "--until", metavar="N", type=int, help="stop after so many verdicts, print a summary, and exit with 0"
    )


def run(args: argparse.Namespace) -> int:
    """Start, run, stop."""
    from infra.settings import load
    from infra.supervise.conducting import Wishes, run_up
    from infra.supervise.screen import Screen
    from infra.supervise.tree import Flags
    from streams.clock import SystemClock

    if args.until is not None and args.until < 1:
        raise Failure(f"--until {args.until}: give 1 or more.", exit_code=ExitCode.USAGE)
    if not 0 < args.rate <= _RATE_PER_S_MAX:
        raise Failure(
            f"--rate {args.rate:g}: give more than 0 and at most {_RATE_PER_S_MAX:g}.",
            exit_code=ExitCode.USAGE,
        )
    if args.workers is not None:
        if not 1 <= args.workers <= _WORKERS_MAX:
            raise Failure(
                f"--workers {args.workers}: give 1 or more, at most {_WORKERS_MAX}.", exit_code=ExitCode.USAGE
            )
        args.set = [*args.set, f"supervise.workers={args.workers}"]
    settings = load(args).settings
    clock = SystemClock()
    wishes = Wishes(with_kafka=not args.no_kafka, demo=args.demo, until=args.until, rate_per_s=args.rate)
    return run_up(settings, Flags.of(args), wishes, Screen(sys.stdout, clock), clock)
