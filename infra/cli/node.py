"""`penstock node`: runs the reference node until it is told to stop.

It tells `up`, `status` and `doctor` where it listens by `run/node.json` in the data directory.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

FLAGS = {
    "host": ("HOST", "address to bind; loopback unless told otherwise"),
    "port": ("PORT", "port; 0 for any free one"),
    "slots": ("N", "requests served at a time"),
    "seed": ("N", "seed of the faults drawn by rate"),
    "loading_ms": ("MS", "answer 503 for so long, as if loading a model"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags are the settings of `reference_node` that one changes by hand; `--set` reaches the others."""
    for name, (metavar, text) in FLAGS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=text)
    parser.add_argument(
        "--fault",
        metavar="NAME=RATE",
        action="append",
        default=[],
        help="a fault and its rate; may be repeated",
    )
    parser.add_argument(
        "--fault-header", action="store_true", help="let a request ask for a fault with x-penstock-fault"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    from infra.nodes.reference.process import serve
    from infra.nodes.reference.server import ReferenceServer
    from infra.running import NODE
    from infra.settings import load
    from infra.supervise.lock import name_lock

    args.set = [*args.set, *_as_settings(args)]
    settings = load(args).settings
    server = ReferenceServer(settings.reference_node)
    data_dir = Path(settings.data_dir)
    with name_lock(data_dir, NODE, "A reference node"):
        return asyncio.run(serve(server, data_dir / "run" / f"{NODE}.json", _announce))


def _announce(url: str) -> None:
    print(f"reference node at {url}; it judges by a word list and is not a language model", flush=True)


def _as_settings(args: argparse.Namespace) -> list[str]:
    """The command's own flags as `--set` spells them, so that one reader checks all and tells of mistakes."""
    given = [(name, getattr(args, name)) for name in FLAGS if getattr(args, name) is not None]
    if args.fault:
        given.append(("faults", ",".join(args.fault)))
    if args.fault_header:
        given.append(("fault_header", "true"))
    return [f"reference_node.{name}={value}" for name, value in given]
