"""`penstock send`: sends a text, a file, or JSON lines, and with `--wait` shows the verdicts."""

from __future__ import annotations

import argparse
import sys

from infra.errors import ExitCode, Failure
from schemas.event import KINDS, PRIORITIES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to send, what is said of it, and whether to wait."""
    parser.add_argument(
        "text", nargs="*", metavar="TEXT", help="the text; `-` reads JSON lines from standard input"
    )
    parser.add_argument("--file", metavar="FILE", help="the text is in a file; *.jsonl holds an event a line")
    parser.add_argument("--priority", choices=PRIORITIES, default="critical", help="default: critical")
    parser.add_argument("--kind", choices=KINDS, help="default: moderate")
    parser.add_argument(
        "--id", metavar="ID", help="the event's id; an edited post keeps it (default: a new one)"
    )
    parser.add_argument("--tenant", metavar="NAME", help="whose event it is (default: default)")
    parser.add_argument("--author", metavar="NAME", help="who wrote it; one author's events stay in order")
    parser.add_argument(
        "--context",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="title, parent …; may be repeated",
    )
    parser.add_argument("--deadline-ms", metavar="MS", type=int, help="when a late answer is no use any more")
    parser.add_argument("--trace", action="store_true", help="have this event's way recorded")
    parser.add_argument("--wait", action="store_true", help="wait for the verdicts, and show them")
    parser.add_argument("--timeout", metavar="S", type=float, default=30.0, help="how long (default: 30)")
    parser.add_argument("--json", action="store_true", help="show JSON, one object a line")


def run(args: argparse.Namespace) -> int:
    """Send, and wait if that is asked for."""
    from infra.sending import send

    words, args.text = args.text, args.text[0] if args.text else None
    if len(words) > 1:
        raise Failure(
            "The text is one argument: put it in quotes, as in `penstock send 'hi there'`.",
            exit_code=ExitCode.USAGE,
        )
    if (args.text is None) == (args.file is None):
        raise Failure("Give a text, `-` for JSON lines, or --file; one of them.", exit_code=ExitCode.USAGE)
    if not 0 < args.timeout < float("inf"):
        raise Failure(f"--timeout {args.timeout:g}: give seconds, more than 0.", exit_code=ExitCode.USAGE)
    return send(args, sys.stdin.buffer, sys.stdout)
