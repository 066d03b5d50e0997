"""What `penstock kafka` does, one function for each of its words."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO

from infra.embedded import EmbeddedKafka
from infra.embedded.artifacts import read_lock
from infra.embedded.foreground import run_in_foreground
from infra.embedded.jars import cache_directory
from infra.embedded.java import ENVIRONMENT, log_path
from infra.embedded.progress import Drawn
from infra.embedded.properties import Place
from infra.embedded.readiness import Probe
from infra.errors import ExitCode, Failure
from infra.kafka import bootstrap_of
from infra.supervise.leftovers import ChildrenFile
from infra.supervise.lock import UP, holder_of
from infra.supervise.tree import KAFKA
from infra.terminal import safe
from schemas.settings import Settings

# By the names of the scripts that call them in Kafka's distribution.
_TOOLS = {
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "configs": "kafka.admin.ConfigCommand",
    "dump-log": "kafka.tools.DumpLogSegments",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "topics": "org.apache.kafka.tools.TopicCommand",
}
_READS_FILES_ONLY = ("dump-log",)
_FOLLOW_S = 0.25


def start(settings: Settings, args: argparse.Namespace) -> int:
    kafka = _kafka(settings)
    if args.foreground:
        return run_in_foreground(kafka, settings.embedded)
    kafka.start()
    found = kafka.status()
    pids = ", ".join(map(str, found.pids))
    print(
        f"Kafka {found.version} is ready at {found.bootstrap} (pid {pids}); its data are in {found.directory}"
    )
    return ExitCode.OK


def stop(settings: Settings, _args: argparse.Namespace) -> int:
    """Stop it, unless somebody would start it again."""
    data_dir = Path(settings.data_dir)
    keeper = holder_of(data_dir, UP)
    if keeper and ChildrenFile(data_dir / "run").pid_of(KAFKA):
        raise Failure(
            f"`penstock up` (pid {keeper}) runs this Kafka and would start it again: stop `up`, with Ctrl-C "
            f"or `kill {keeper}`, and Kafka stops with it.",
            exit_code=ExitCode.TAKEN,
        )
    kafka = _kafka(settings)
    was = kafka.status()
    kafka.stop()
    print("Kafka did not run" if was.state == "stopped" else f"Kafka at {was.bootstrap} is stopped")
    return ExitCode.OK


def status(settings: Settings, args: argparse.Namespace) -> int:
    """Tell of its processes, and whether it takes a write just now."""
    found = _kafka(settings).status()
    node_ids = range(1, 1 + found.bootstrap.count(":"))
    reason = Probe(found.bootstrap, node_ids).look() if found.bootstrap else "no broker runs"
    if args.json:
        print(json.dumps(asdict(found) | {"is_ready": not reason, "reason": reason}))
    elif found.state == "stopped":
        print(f"Kafka is stopped; its data are in {found.directory}")
    else:
        readiness = f"not ready: {reason}" if reason else "ready"
        pids = ", ".join(map(str, found.pids))
        print(f"Kafka {found.version} at {found.bootstrap}: {found.state}, {readiness}")
        print(f"pid {pids}, since {found.started_at}; its data are in {found.directory}")
    return ExitCode.KAFKA_UNREACHABLE if reason else ExitCode.OK


def logs(settings: Settings, args: argparse.Namespace) -> int:
    path = _directory(settings) / log_path(Place(args.broker, 0, 0))
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in _last(file, args.lines):
                print(safe(line))
            for line in _growing(path, file) if args.follow else ():
                print(safe(line), flush=True)
    except FileNotFoundError:
        raise Failure(
            f"There is no log at {path}: the embedded Kafka of this data directory was never started.",
            exit_code=ExitCode.USAGE,
        ) from None
    return ExitCode.OK


def fetch(settings: Settings, args: argparse.Namespace) -> int:
    jars = _kafka(settings).fetch(*(("kafka", "tools") if args.tools else ("kafka",)))
    cache = cache_directory(settings.embedded.cache_dir)
    print(f"Kafka {read_lock().version}: {len(jars)} jars, all as locked, in {cache}")
    return ExitCode.OK


def tool(settings: Settings, args: argparse.Namespace) -> int:
    """Become one of Kafka's tools; it is told where Kafka is, unless its arguments say so."""
    arguments = args.arguments[1:] if args.arguments[:1] == ["--"] else args.arguments
    if "." not in args.name and args.name not in _TOOLS:
        raise Failure(
            f"There is no tool {args.name}: give one of {', '.join(_TOOLS)}, or a Java class.",
            exit_code=ExitCode.USAGE,
        )
    if "--bootstrap-server" not in arguments and args.name in _TOOLS and args.name not in _READS_FILES_ONLY:
        arguments = ["--bootstrap-server", bootstrap_of(settings), *arguments]
    command = _kafka(settings).tool_command(_TOOLS.get(args.name, args.name), *arguments)
    os.execve(command[0], command, ENVIRONMENT)  # noqa: S606  The JVM, by its whole path, no shell.


ACTIONS: dict[str, Callable[[Settings, argparse.Namespace], int]] = {
    "start": start,
    "stop": stop,
    "status": status,
    "logs": logs,
    "fetch": fetch,
    "tool": tool,
}


def _directory(settings: Settings) -> Path:
    return Path(settings.data_dir) / "kafka"


def _kafka(settings: Settings) -> EmbeddedKafka:
    progress = Drawn(sys.stderr, f"Kafka {read_lock().version}")
    return EmbeddedKafka(_directory(settings), settings.embedded, progress=progress)


def _last(file: IO[str], count: int) -> list[str]:
    """The last lines of a file of bounded size; afterwards it is at its end."""
    lines = [line.rstrip("\n") for line in file]
    return lines[-count:] if count else []


def _growing(path: Path, file: IO[str]) -> Iterator[str]:
    """The lines that are added to a log, through its rotations, for as long as the caller asks."""
    while True:
        for line in file:
            yield line.rstrip("\n")
        if path.exists() and not os.path.samestat(path.stat(), os.fstat(file.fileno())):
            # Rotated, and the old one is read to its end.
            with path.open(encoding="utf-8", errors="replace") as renewed:
                yield from _growing(path, renewed)
        time.sleep(_FOLLOW_S)
