"""`penstock status`: what runs, how far behind it is, what is paused, and what went wrong last."""

from __future__ import annotations

import argparse

from infra.errors import ExitCode, Failure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """For a person, or for a program."""
    parser.add_argument("--json", action="store_true", help="everything, partition by partition, as JSON")


def run(args: argparse.Namespace) -> int:
    """Show it; whether something is missing is in the exit code, too."""
    import msgspec

    from infra.picture import look, told
    from infra.settings import load

    picture = look(load(args).settings)
    if args.json:
        print(msgspec.json.encode(picture).decode())
    else:
        print(*told(picture), sep="\n")
    if picture.kafka_problem:
        raise Failure(picture.kafka_problem, exit_code=ExitCode.KAFKA_UNREACHABLE)
    if not picture.is_running:
        raise Failure(
            f"No worker runs for the data directory {picture.data_dir}: start everything with "
            "`penstock up`, or one with `penstock worker`.",
            exit_code=ExitCode.NOT_RUNNING,
        )
    return ExitCode.OK
