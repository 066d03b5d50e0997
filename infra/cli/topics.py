"""`penstock topics`: makes the topics of the table, tells where the cluster differs from it, shows both."""

from __future__ import annotations

import argparse
import json

from infra.counting import counted
from infra.errors import ExitCode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-command for each thing that can be done."""
    parsers = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    parsers.add_parser(
        "create", help="make what is missing; what exists is never altered", allow_abbrev=False
    )
    parsers.add_parser(
        "check", help="tell what is missing or differs; exit code 4 if anything", allow_abbrev=False
    )
    showing = parsers.add_parser("show", help="the table, and the state of each topic", allow_abbrev=False)
    showing.add_argument("--json", action="store_true", help="as a JSON list")


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    from infra import topics
    from infra.clients import reach
    from infra.settings import load

    settings = load(args).settings
    cluster = reach(settings)
    wanted = topics.wanted_of(settings, cluster)
    existing = topics.existing_of(settings, cluster, wanted)
    found = topics.differences(wanted, existing)
    if args.what == "create":
        made = topics.ensure(settings, cluster)
        for topic in made:
            print(
                f"made {topic.name} ({counted(topic.partitions, 'partition')}, "
                f"replication {topic.replication})"
            )
        print(f"{counted(len(made), 'topic')} made, {len(wanted) - len(made)} were there")
        return ExitCode.OK
    if args.what == "check":
        if found:
            raise topics.drifted(found)
        print(f"{len(wanted)} topics at {cluster.bootstrap} are as the table says")
        return ExitCode.OK
    rows = [_row(topic, [one.what for one in found if one.topic == topic.name]) for topic in wanted]
    if args.json:
        print(json.dumps(rows))
    else:
        _print_table(rows)
    return ExitCode.OK


def _row(topic: object, problems: list[str]) -> dict[str, object]:
    from streams.topics import Topic

    assert isinstance(topic, Topic)
    return {
        "name": topic.name,
        "partitions": topic.partitions,
        "replication": topic.replication,
        "config": dict(topic.config),
        "problems": problems,
    }


def _print_table(rows: list[dict[str, object]]) -> None:
    width = max(len(str(row["name"])) for row in rows)
    print(f"{'topic':<{width}}  partitions  replication  cleanup          state")
    for row in rows:
        config = row["config"]
        assert isinstance(config, dict)
        problems = row["problems"]
        assert isinstance(problems, list)
        state = "; ".join(problems) or "as the table says"
        print(
            f"{row['name']:<{width}}  {row['partitions']:>10}  {row['replication']:>11}  "
            f"{config['cleanup.policy']:<15}  {state}"
        )
