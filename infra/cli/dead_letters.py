"""`penstock dead-letters`: lists what could not be judged, and why; its content only if that is asked for."""

from __future__ import annotations

import argparse
import sys

from infra.cli.verdicts import add_following, begin_of, check_following, newer
from infra.errors import ExitCode
from schemas.dead_letter import DeadLetter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to show; by default all that are kept, and then the end."""
    add_following(parser)
    parser.add_argument("--follow", action="store_true", help="go on with those that come")
    parser.add_argument("--code", metavar="CODE", help="only those of this code")
    parser.add_argument("--stage", choices=("triage", "judge"), help="only those of this stage")
    parser.add_argument(
        "--show-content", action="store_true", help="show the original record, too; it may be anything"
    )


def run(args: argparse.Namespace) -> int:
    """Show dead letters."""
    from infra.clients import reach
    from infra.following import follow
    from infra.settings import load
    from schemas.errors import UnknownVersion, WireError
    from schemas.wire import decode_dead_letter
    from streams.topics import Topics

    check_following(args)
    settings = load(args).settings
    topic = Topics.of(settings.topics).dead_letters
    on_and_on = args.follow and not args.no_follow
    shown = 0
    for found in follow(settings, reach(settings), [topic], begin_of(args, "start"), on_and_on=on_and_on):
        try:
            letter = decode_dead_letter(found.value)
        except UnknownVersion as error:
            raise newer(topic, error.detail) from None
        except WireError as error:
            print(
                f"{topic}/{found.partition}@{found.offset} is no dead letter: {error.detail}", file=sys.stderr
            )
            continue
        if args.code not in {None, letter.code} or args.stage not in {None, letter.stage}:
            continue
        print(shown_as(letter, as_json=args.json, with_content=args.show_content), flush=True)
        shown += 1
        if shown == args.until:
            break
    if not shown:
        # On stderr: what is counted or parsed has no line.
        print(
            "No dead letters." if not (args.code or args.stage) else "No such dead letters.", file=sys.stderr
        )
    return ExitCode.OK


def shown_as(letter: DeadLetter, *, as_json: bool, with_content: bool) -> str:
    """One dead letter, as it was asked for; without leave, no byte that a producer wrote."""
    from msgspec.structs import replace

    from infra.showing import dead_letter_line
    from infra.terminal import visible
    from schemas.wire import encode

    if as_json:
        return encode(
            letter if with_content else replace(letter, payload=None, key=None, headers=())
        ).decode()
    if not with_content or letter.payload is None:
        return dead_letter_line(letter)
    return f"{dead_letter_line(letter)}\n    {visible(letter.payload.decode('utf-8', 'backslashreplace'))}"
