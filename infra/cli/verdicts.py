"""`penstock verdicts`: follows the verdicts, with filters; by default only those that count."""

from __future__ import annotations

import argparse
import sys
from typing import Literal, get_args

from infra.errors import ExitCode, Failure
from schemas.event import KINDS
from schemas.verdict import Action, DecidedBy, Verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to begin, what to show, when to end."""
    add_following(parser)
    parser.add_argument("--all", action="store_true", help="show superseded and repeated verdicts, too")
    parser.add_argument("--tenant", metavar="NAME", help="only this tenant's")
    parser.add_argument("--id", metavar="ID", help="only this event's")
    parser.add_argument("--action", choices=get_args(Action), help="only these")
    parser.add_argument("--decided-by", choices=get_args(DecidedBy), help="only these")
    parser.add_argument("--kind", choices=KINDS, help="only those on events of this kind")


def add_following(parser: argparse.ArgumentParser) -> None:
    """The flags of all commands that follow a topic."""
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--from-start", action="store_true", help="begin with the oldest that is kept")
    begin.add_argument("--last", metavar="N", type=int, help="begin with the last N")
    parser.add_argument("--no-follow", action="store_true", help="end with what is there now")
    parser.add_argument("--until", metavar="N", type=int, help="end after N were shown")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Show verdicts as they come."""
    from infra.clients import reach
    from infra.following import follow
    from infra.settings import load
    from infra.showing import verdict_line
    from schemas.effective import EffectiveVerdicts
    from schemas.errors import UnknownVersion, WireError
    from schemas.wire import decode_verdict, encode
    from streams.topics import Topics

    check_following(args)
    settings = load(args).settings
    topic = Topics.of(settings.topics).verdicts
    effective = EffectiveVerdicts()
    shown = 0
    for found in follow(settings, reach(settings), [topic], begin_of(args), on_and_on=not args.no_follow):
        try:
            verdict = decode_verdict(found.value)
        except UnknownVersion as error:
            raise newer(topic, error.detail) from None
        except WireError as error:
            print(f"{topic}/{found.partition}@{found.offset} is no verdict: {error.detail}", file=sys.stderr)
            continue
        if not (effective.add(verdict) or args.all) or not is_wanted(verdict, args):
            continue
        print(encode(verdict).decode() if args.json else verdict_line(verdict), flush=True)
        shown += 1
        if shown == args.until:
            break
    return ExitCode.OK


def is_wanted(verdict: Verdict, args: argparse.Namespace) -> bool:
    """Whether a verdict passes all filters that were given."""
    given = {
        "tenant": args.tenant,
        "id": args.id,
        "action": args.action,
        "decided_by": args.decided_by,
        "kind": args.kind,
    }
    return all(value is None or getattr(verdict, name) == value for name, value in given.items())


def check_following(args: argparse.Namespace) -> None:
    """Hold the numbers to what makes sense."""
    for name in ("last", "until"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise Failure(f"--{name} {value}: give 1 or more.", exit_code=ExitCode.USAGE)


def begin_of(
    args: argparse.Namespace, default: Literal["start", "end"] = "end"
) -> Literal["start", "end"] | int:
    """Where to begin, by the flags."""
    if args.last is not None:
        return int(args.last)
    return "start" if args.from_start else default


def newer(topic: str, detail: str) -> Failure:
    """What is said of a record that a newer release has written."""
    return Failure(
        f"A newer Penstock wrote to the topic {topic} ({detail}): update this one.",
        exit_code=ExitCode.UNKNOWN_VERSION,
    )
