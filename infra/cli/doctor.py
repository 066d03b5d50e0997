"""`penstock doctor`: checks this machine and what Penstock needs, and says what to do."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """For a person, or for a program."""
    parser.add_argument("--json", action="store_true", help="as a JSON list")


def run(args: argparse.Namespace) -> int:
    """Show each finding as it comes; the code is that of the first failure."""
    import msgspec

    from infra.doctor.examination import examine
    from infra.doctor.findings import exit_code_of, line
    from infra.settings import load

    found = []
    for finding in examine(load(args).settings):
        found.append(finding)
        if not args.json:
            print(line(finding), flush=True)
    if args.json:
        print(msgspec.json.encode(found).decode())
    return exit_code_of(found)
