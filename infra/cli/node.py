"""`penstock node`: runs the reference node until it is told to stop; with `--gguf` a real llama.cpp server.

It tells `up`, `status` and `doctor` where it listens by `run/node.json` in the data directory.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from infra.nodes.reference.process import Serving
from schemas.settings import NodeKind, ReferenceNodeSettings

FLAGS = {
    "host": ("HOST", "address to bind; loopback unless told otherwise"),
    "port": ("PORT", "port; 0 for any free one"),
    "slots": ("N", "requests served at a time"),
    "seed": ("N", "seed of the faults drawn by rate"),
    "loading_ms": ("MS", "answer 503 for so long, as if loading a model"),
}

COUNT_MAX = 4_194_304
"""Of tokens and threads: as many as `nodes[].context_tokens` may say."""


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

    model = parser.add_argument_group("a real model instead, by llama.cpp (the extra `llama`)")
    model.add_argument("--gguf", metavar="FILE", help="the model; what is said of faults is not for it")
    model.add_argument("--context", metavar="N", type=_count, help="tokens of prompt and answer in each slot")
    model.add_argument("--threads", metavar="N", type=_count, help="threads; by default llama.cpp decides")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    from infra.nodes.reference.process import serve
    from infra.running import NODE
    from infra.settings import load
    from infra.supervise.lock import name_lock

    args.set = [*args.set, *_as_settings(args)]
    settings = load(args).settings
    server, kind, words = _server(args, settings.reference_node)
    data_dir = Path(settings.data_dir)
    told_at = data_dir / "run" / f"{NODE}.json"
    with name_lock(data_dir, NODE, "A reference node"):
        return asyncio.run(serve(server, told_at, lambda url: _announce(url, words), kind))


def _server(args: argparse.Namespace, settings: ReferenceNodeSettings) -> tuple[Serving, NodeKind, str]:
    """What serves, the engine that it is to those who ask, and what to say of it."""
    if args.gguf is None:
        if args.context is not None or args.threads is not None:
            from infra.errors import ExitCode, Failure

            raise Failure("--context and --threads are for a model: --gguf FILE.", exit_code=ExitCode.USAGE)
        from infra.nodes.reference.server import ReferenceServer

        return ReferenceServer(settings), "penstock", "it judges by a word list and is not a language model"
    from infra.nodes.llamacpp import CONTEXT_TOKENS, LlamaServer

    context_tokens = CONTEXT_TOKENS if args.context is None else args.context
    server = LlamaServer(Path(args.gguf), settings, context_tokens, args.threads)
    return server, "llamacpp", f"{args.gguf}, {settings.slots} slots of {context_tokens} tokens"


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= COUNT_MAX):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {COUNT_MAX}")
    return int(text)


def _announce(url: str, words: str) -> None:
    print(f"node at {url}; {words}", flush=True)


def _as_settings(args: argparse.Namespace) -> list[str]:
    """The command's own flags as `--set` spells them, so that one reader checks all and tells of mistakes."""
    given = [(name, getattr(args, name)) for name in FLAGS if getattr(args, name) is not None]
    if args.fault:
        given.append(("faults", ",".join(args.fault)))
    if args.fault_header:
        given.append(("fault_header", "true"))
    return [f"reference_node.{name}={value}" for name, value in given]
