"""`penstock worker`: runs one worker until it is told to stop."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which stages, and under which name."""
    parser.add_argument(
        "--stages", default="triage,judge", metavar="LIST", help="`triage`, `judge`, or both (the default)"
    )
    parser.add_argument(
        "--name",
        default="worker-1",
        help="the worker's name: its membership in the group and its data stay with it over restarts",
    )


def run(args: argparse.Namespace) -> int:
    """Work until SIGTERM or SIGINT."""
    # uvloop and the whole of the worker are loaded here, so that `--help` does not wait for them.
    import uvloop

    from infra.errors import ExitCode, Failure
    from infra.settings import load
    from infra.worker import STAGES, Worker

    stages = tuple(stage for stage in STAGES if stage in args.stages.split(","))
    if not stages or set(args.stages.split(",")) - set(STAGES):
        raise Failure(
            f"--stages {args.stages}: give `triage`, `judge`, or `triage,judge`.", exit_code=ExitCode.USAGE
        )
    loaded = load(args)

    async def main() -> ExitCode:
        return await Worker(loaded, args.name, stages).run()

    return uvloop.run(main())
