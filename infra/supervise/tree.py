"""Who the children of `up` are: their command lines, and how one sees that each is ready.

Everything runs as `penstock …` itself, with the flags that `up` was given, so that a child can also be
started by hand and does the same.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import infra
from infra.running import NODE, address_of, ask
from infra.supervise.child import Spec
from schemas.settings import Settings

KAFKA = "kafka"
# A worker joins its group and is given partitions; a predecessor of the same name that was killed is replaced
# at once, because membership is static.
_WORKER_READY_S = 30.0
# The reference node has no model to load, but `loading_ms` may pretend that it has.
_NODE_READY_S = 15.0


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags that all commands share, as a child is given them."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, args: argparse.Namespace) -> Flags:
        """As they were given to this command."""
        named = [("--config", args.config), ("--data-dir", args.data_dir), ("--bootstrap", args.bootstrap)]
        words = [f"{flag}={value}" for flag, value in named if value is not None]
        return cls((*words, *(f"--set={one}" for one in args.set)))


def kafka(flags: Flags, settings: Settings, probe: Callable[[], Awaitable[str]]) -> Spec:
    """The embedded Kafka; `kafka start --foreground` becomes the JVM itself."""

    async def is_ready(_pid: int) -> str:
        return await probe()

    return _spec(
        "kafka", ("kafka", "start", "--foreground"), flags, is_ready, settings.embedded.start_timeout_s
    )


def node(flags: Flags, settings: Settings, port: int) -> Spec:
    """The reference node. Its port is named, so that workers find it again after it was killed."""

    async def is_ready(pid: int) -> str:
        return await _http_says(settings, NODE, pid, "/health")

    ready_within_s = _NODE_READY_S + settings.reference_node.loading_ms / 1_000
    return _spec(NODE, ("node", f"--port={port}"), flags, is_ready, ready_within_s)


def workers(flags: Flags, settings: Settings) -> list[Spec]:
    """All workers, each with a name of its own."""
    return [_worker(flags, settings, number) for number in range(1, settings.supervise.workers + 1)]


def _worker(flags: Flags, settings: Settings, number: int) -> Spec:
    name = f"worker-{number}"
    words = ["worker", f"--name={name}"]
    if settings.http.port and number > 1:
        # A port for the first is a row of ports for all.
        words.append(f"--set=http.port={settings.http.port + number - 1}")

    async def is_ready(pid: int) -> str:
        return await _http_says(settings, name, pid, "/ready")

    # It may lag: without a node the rules still decide, and what they cannot waits in Kafka.
    return _spec(name, words, flags, is_ready, _WORKER_READY_S, may_lag=True, needs=(KAFKA, NODE))


def _spec(
    name: str,
    words: Sequence[str],
    flags: Flags,
    probe: Callable[[int], Awaitable[str]],
    ready_within_s: float,
    *,
    may_lag: bool = False,
    needs: Sequence[str] = (),
) -> Spec:
    # `-P`: a folder named `infra` where the user happens to be is not ours. `-u`: a line is in the log when
    # it is said. The flags come first, so that the child's own `--set` is the last word.
    argv = [sys.executable, "-P", "-u", "-m", "infra.cli", *flags.words, *words]
    return Spec(name, argv, probe, ready_within_s, may_lag, _environment(), needs)


def _environment() -> Mapping[str, str]:
    # The child reads its settings from the same environment; it must also find the same packages, in a
    # checkout that is not installed, too.
    inherited = dict(os.environ)  # noqa: TID251  Passed on, not read.
    root = str(Path(infra.__file__).parents[1])
    paths = [root, *filter(None, [inherited.get("PYTHONPATH")])]
    return {**inherited, "PYTHONPATH": os.pathsep.join(paths)}


async def _http_says(settings: Settings, name: str, pid: int, path: str) -> str:
    """Why a child is not ready, by its own words; empty if it is."""
    address = address_of(Path(settings.data_dir), name)
    if address is None or address.pid != pid:
        return "it does not listen yet"
    status, body = await asyncio.to_thread(ask, address.url + path)
    if status == http.client.OK:
        return ""
    return body.decode("utf-8", "replace").strip()[:200] or "it does not answer"
