"""`penstock policy`: checks and tries policy files, publishes them, and tells what they did.

What is done with files is in `policy_files`, with the topic in `policy_published`, with workers in
`policy_stats`; each is imported only when it is asked for.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from schemas.event import KINDS

_FILE_HELP = (
    "the policy file (TOML, or JSON by its ending); without one, the policy that Penstock brings along"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-command for each thing that can be done."""
    parsers = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    for name, line in (
        ("check", "tell everything that is wrong with a file, with line and column"),
        ("test", "run the examples that each rule carries"),
        ("push", "publish a file and make it active on every worker"),
        ("score", "try a file on a labelled sample: how much it decides, and how much of that wrongly"),
    ):
        doing = parsers.add_parser(name, help=line, allow_abbrev=False)
        doing.add_argument("file", metavar="FILE", nargs="?", type=Path, help=_FILE_HELP)
        if name == "push":
            doing.add_argument(
                "--if-none",
                action="store_true",
                help="only if no policy of that id is active; otherwise fine",
            )
        if name == "score":
            doing.add_argument("--sample", metavar="FILE", type=Path, help="JSON lines; without: our own")
            doing.add_argument("--wrong", action="store_true", help="show the posts that are decided wrongly")
    _add_explain(parsers)
    _add_published(parsers)
    stats = parsers.add_parser(
        "stats", help="how often each rule matched on the workers here, and what the rules cost"
    )
    stats.add_argument("--json", action="store_true", help="as JSON, worker by worker")


def _add_explain(parsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    explaining = parsers.add_parser(
        "explain", help="which rules match a text, where, and what is decided", allow_abbrev=False
    )
    explaining.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, help="the policy file; without one, the active policy"
    )
    explaining.add_argument("--text", metavar="TEXT", required=True, help="the text of the post")
    explaining.add_argument("--kind", choices=KINDS[:1] + KINDS[2:3], default="moderate", help="its kind")
    explaining.add_argument("--author", metavar="ID", default="", help="who wrote it")
    explaining.add_argument(
        "--context",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="what comes beside the text, as `penstock send` takes it; repeat it for each of several",
    )
    explaining.add_argument("--tenant", metavar="NAME", default="default", help="whose post it is")
    explaining.add_argument("--id", metavar="ID", default="", help="which policy, where there is no file")


def _add_published(parsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    showing = parsers.add_parser("show", help="what is active", allow_abbrev=False)
    showing.add_argument("id", metavar="ID", nargs="?", default="", help="one policy, with its rules")
    showing.add_argument("--json", action="store_true", help="as JSON; with ID the whole document")
    showing.add_argument(
        "--version", metavar="N", type=int, help="of ID, not the active document but that of this version"
    )
    telling = parsers.add_parser("history", help="what was active before", allow_abbrev=False)
    telling.add_argument("id", metavar="ID", nargs="?", default="default", help="which policy")
    going_back = parsers.add_parser(
        "rollback", help="make a document active again that was before", allow_abbrev=False
    )
    going_back.add_argument("id", metavar="ID", help="which policy")
    going_back.add_argument(
        "--to", metavar="VERSION|DIGEST", default="", help="which document; without: the next older one"
    )


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    match args.what:
        case "check" | "test" | "score" | "explain":
            from infra.cli import policy_files

            return policy_files.run(args)
        case "stats":
            from infra.cli import policy_stats

            return policy_stats.run(args)
        case _:
            from infra.cli import policy_published

            return policy_published.run(args)
