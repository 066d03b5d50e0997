"""`penstock config`: shows the settings with their origins, judges a file, prints schema and reference page.

Everything that it says comes from `infra.settings.showing`; here is only what to print.
"""

from __future__ import annotations

import argparse
import json

from infra.errors import ExitCode, Failure
from infra.settings import Sources, load, read
from infra.settings.leaves import branches, leaves
from infra.settings.settling import nearest
from infra.settings.showing import reference, schema, show, show_json, show_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-command for each thing that can be asked."""
    parsers = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    showing = parsers.add_parser("show", help="the values, and where each comes from", allow_abbrev=False)
    showing.add_argument("path", nargs="?", default="", help="one setting or section, as kafka.linger_ms")
    showing.add_argument("--json", action="store_true", help="as a JSON list")
    checking = parsers.add_parser("check", help="judge a settings file", allow_abbrev=False)
    checking.add_argument("file", metavar="FILE", help="the TOML file")
    parsers.add_parser("schema", help="the JSON Schema of the settings file", allow_abbrev=False)
    parsers.add_parser("reference", help="the reference page of all settings", allow_abbrev=False)


def run(args: argparse.Namespace) -> int:
    """Print what was asked."""
    match args.what:
        case "show":
            _show(args)
        case "check":
            # The file alone: what the environment of this machine says is not the file's merit or mistake.
            read(Sources(config=args.file))
            print(f"{args.file}: no mistakes")
        case "schema":
            print(json.dumps(schema(), indent=2))
        case _:
            print(reference(), end="")
    return ExitCode.OK


def _show(args: argparse.Namespace) -> None:
    lines = show(load(args), args.path)
    if not lines:
        near = nearest(args.path, [*leaves(), *branches()])
        hint = f"; did you mean {near}?" if near else "."
        raise Failure(f"there is no setting {args.path}{hint}", exit_code=ExitCode.USAGE)
    print(show_json(lines) if args.json else show_text(lines), end="\n" if args.json else "")
