"""`penstock cache stats|lookup|forget|purge`: what is remembered, and having it forgotten."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and about which answers."""
    parsers = parser.add_subparsers(dest="what", required=True, metavar="ACTION")
    stats = parsers.add_parser("stats", help="what the workers here remember", allow_abbrev=False)
    stats.add_argument("--json", action="store_true", help="as JSON, worker by worker")
    _add_lookup(parsers)
    forget = parsers.add_parser("forget", help="reuse the answers about a text no more", allow_abbrev=False)
    forget.add_argument(
        "--digest",
        metavar="DIGEST",
        action="append",
        required=True,
        help="of a content, as verdicts tell it, or of a question; may be repeated",
    )
    _add_purge(parsers)


def _add_lookup(parsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    lookup = parsers.add_parser("lookup", help="what is remembered about a text", allow_abbrev=False)
    about = lookup.add_mutually_exclusive_group(required=True)
    about.add_argument("--digest", metavar="DIGEST", help="of a content, or of a question")
    about.add_argument("--text", metavar="TEXT", help="a post, without a context")
    lookup.add_argument("--tenant", metavar="NAME", default="default", help="whose TEXT it is")
    lookup.add_argument(
        "--kind", choices=("moderate", "scan"), default="moderate", help="what was asked of TEXT"
    )
    lookup.add_argument("--json", action="store_true", help="one JSON object a line")


def _add_purge(parsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    purge = parsers.add_parser("purge", help="reuse many answers no more", allow_abbrev=False)
    about = purge.add_mutually_exclusive_group()
    about.add_argument("--policy", metavar="ID", help="those under this policy")
    about.add_argument("--model", metavar="NAME", help="those of this model")
    about.add_argument("--all", action="store_true", help="all of them")
    purge.add_argument(
        "--older-than", metavar="SPAN", help="only those judged longer ago: 90s, 30m, 2h, 7d; alone, of all"
    )


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    from infra.cli import cache_actions

    return cache_actions.run(args)
