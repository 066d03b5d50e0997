"""`penstock nodes`: the nodes as the workers here see them; takes one out of use, and brings it back."""

from __future__ import annotations

import argparse

from infra.errors import ExitCode, Failure
from schemas.settings import Settings
from streams.observing import WorkerStatus


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-command for each thing that can be done."""
    parsers = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    listing = parsers.add_parser("list", help="each node, as each worker here sees it")
    listing.add_argument("--json", action="store_true", help="as JSON, worker by worker")
    for name, line in (
        ("drain", "ask a node nothing more, on every worker; what it is busy with is finished"),
        ("resume", "ask it again"),
    ):
        ordering = parsers.add_parser(name, help=line)
        ordering.add_argument("node", metavar="NAME", help="the node, as it is called in the settings")


def run(args: argparse.Namespace) -> int:
    """Look, or give the order."""
    from pathlib import Path

    from infra.running import worker_statuses
    from infra.settings import load

    settings = load(args).settings
    workers = worker_statuses(Path(settings.data_dir))
    if args.what == "list":
        return _list(workers, settings, as_json=args.json)
    return _order(args.node, workers, settings, active=args.what == "drain")


def _list(workers: dict[str, WorkerStatus | None], settings: Settings, *, as_json: bool) -> ExitCode:
    import msgspec

    from infra.picture import node_line

    if not workers:
        raise Failure(
            f"No worker runs for the data directory {settings.data_dir}, and workers know how nodes are: "
            "start everything with `penstock up`, or one with `penstock worker`.",
            exit_code=ExitCode.NOT_RUNNING,
        )
    if as_json:
        told = {name: None if worker is None else worker.nodes for name, worker in workers.items()}
        print(msgspec.json.encode(told).decode())
        return ExitCode.OK
    for name, worker in workers.items():
        lines = ["runs, and does not answer"] if worker is None else map(node_line, worker.nodes)
        for line in lines:
            print(f"{name:<9} {line}")
    return ExitCode.OK


def _order(
    node: str, workers: dict[str, WorkerStatus | None], settings: Settings, *, active: bool
) -> ExitCode:
    from infra.orders import draining, give
    from infra.terminal import visible
    from streams.clock import SystemClock

    # An order for a node that is gone can be taken back; one for a node that nobody knows is a slip.
    if active and node not in (known := _known(workers, settings)):
        raise Failure(
            f"There is no node {visible(node)}: there is {', '.join(sorted(known)) or 'none'}.",
            exit_code=ExitCode.USAGE,
        )
    obeyed = give(draining(node, SystemClock(), active=active), settings)
    print(f"{node} {'drained' if active else 'resumed'}: {obeyed}")
    return ExitCode.OK


def _known(workers: dict[str, WorkerStatus | None], settings: Settings) -> set[str]:
    told = {node.name for worker in workers.values() if worker for node in worker.nodes}
    return told | {node.known_as for node in settings.nodes}
