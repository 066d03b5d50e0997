"""`penstock worker`: runs one worker until it is told to stop."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

RESERVED = frozenset({"children", "node", "up"})


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

    from infra.cli import complain
    from infra.errors import ExitCode, Failure
    from infra.logs import open_log
    from infra.reasons import is_told, last_words
    from infra.settings import load
    from infra.supervise.lock import name_lock
    from infra.worker import STAGES, Worker

    stages = tuple(stage for stage in STAGES if stage in args.stages.split(","))
    if not stages or set(args.stages.split(",")) - set(STAGES):
        raise Failure(
            f"--stages {args.stages}: give `triage`, `judge`, or `triage,judge`.", exit_code=ExitCode.USAGE
        )
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", args.name) or args.name in RESERVED:
        raise Failure(
            "--name: give lower case letters, digits and dashes, 63 at most; "
            f"{', '.join(sorted(RESERVED))} mean other processes.",
            exit_code=ExitCode.USAGE,
        )
    loaded = load(args)

    open_log(loaded.settings.telemetry.log_level, is_told)

    async def main() -> ExitCode:
        worker = Worker(loaded, args.name, stages)
        code = await worker.run()
        if code != ExitCode.OK:
            # The last line of all: what a person looks at first, and what `up` repeats.
            complain(worker.last_words, code)
        if worker.is_stuck:
            # Python would wait for the thread that waits for a broker. What is unsettled is not committed.
            os._exit(code)
        return code

    try:
        with name_lock(Path(loaded.settings.data_dir), args.name, f"A worker named {args.name}"):
            return uvloop.run(main())
    except Failure as failure:
        sentence = last_words(failure.exit_code, failure.sentence)
        raise Failure(sentence, exit_code=failure.exit_code) from None
