"""`penstock kafka`: the embedded Kafka of the data directory, started, stopped and looked after by hand.

What it can be asked for stands here; what is then done, in `kafka_actions`. `up` uses `start --foreground`.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-command for each thing that can be done."""
    parsers = parser.add_subparsers(dest="what", required=True, metavar="WHAT")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return parsers.add_parser(name, help=text, description=text, allow_abbrev=False)

    start = add("start", "start it if it does not run, and wait until it takes writes")
    start.add_argument(
        "--foreground",
        action="store_true",
        help="become the broker, for a supervisor; ends when the broker ends, and stops it on SIGTERM",
    )
    add("stop", "stop it; its data stay")
    status = add("status", "tell whether it runs and takes writes; exit code 3 if not")
    status.add_argument("--json", action="store_true", help="as a JSON object")
    logs = add("logs", "show the end of its log")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as it grows, until Ctrl-C")
    logs.add_argument("-n", "--lines", metavar="N", type=_count, default=40, help="how many lines (40)")
    logs.add_argument("--broker", metavar="ID", type=_count, default=1, help="of which broker (1)")
    fetch = add("fetch", "fetch its jars, for use without a network")
    fetch.add_argument("--tools", action="store_true", help="those of Kafka's own tools, too")
    tool = add("tool", "run one of Kafka's own tools: kafka tool console-consumer -- --topic verdicts")
    tool.add_argument("name", metavar="NAME", help="console-producer, topics …, or a Java class")
    tool.add_argument("arguments", metavar="…", nargs=argparse.REMAINDER, help="its arguments, after --")


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    from infra.cli.kafka_actions import ACTIONS
    from infra.settings import load

    return ACTIONS[args.what](load(args).settings, args)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return int(text)
