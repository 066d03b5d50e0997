"""Whole `penstock worker` and `penstock node` processes on a Kafka, for tests that break them and look on.

    with Penstock(tmp_path, bootstrap, prefix) as penstock:
        penstock.start("worker-1")
        penstock.await_ready("worker-1")
        penstock.kill("worker-1")

Unlike with `penstock up`, nobody starts again what was killed. What the node made is the node's own count.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple, Self

from deadline import until

from infra.clients import Found, Reader, reach
from infra.following import follow
from infra.running import address_of, ask
from schemas.settings import KafkaSettings, Settings, TopicSettings
from schemas.verdict import Verdict
from schemas.wire import decode_verdict

ROOT = Path(__file__).parents[1]
PARTITIONS = 4
# On two busy cores a start takes some seconds; a dead member's session must end, too.
_READY_WITHIN_S = 90.0
_STOPPED_WITHIN_S = 20.0
_FIGURE = re.compile(r"^penstock_node_(\w+) ([0-9.e+]+)$", re.MULTILINE)


class NodeCount(NamedTuple):
    """What the reference node counted."""

    completions: int
    """Inferences made."""
    in_flight: int
    """Requests in a slot or in the line."""


class Penstock:
    """One node and any number of workers, with one data directory and one prefix of topics."""

    def __init__(self, directory: Path, bootstrap: str, prefix: str, *sets: str, nodes: str = "") -> None:
        """`sets` are settings of all processes, as `path=value`; `nodes` are asked in place of its own."""
        self.data_dir = directory / "penstock"
        self.settings = Settings(
            data_dir=str(self.data_dir),
            kafka=KafkaSettings(bootstrap=bootstrap),
            topics=TopicSettings(prefix=prefix, partitions=PARTITIONS),
        )
        self.prefix = prefix
        self._directory = directory
        self._nodes = nodes
        self._flags = (
            *(f"--data-dir={self.data_dir}", f"--bootstrap={bootstrap}"),
            *(f"--set=topics.prefix={prefix}", f"--set=topics.partitions={PARTITIONS}"),
            *(f"--set={one}" for one in sets),
        )
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        """Make the topics, publish the default policy, and start the node, unless others are asked."""
        self.data_dir.mkdir(parents=True)
        self.command("topics", "create")
        self.command("policy", "push")
        if not self._nodes:
            self._start("node", "node")
            until(lambda: address_of(self.data_dir, "node"), within_s=_READY_WITHIN_S, what="a node listens")
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait(10)

    def command(self, *words: str) -> str:
        """Run a command to its end, and see that it succeeds; what it printed."""
        done = subprocess.run(
            self._line(words), env=_environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stderr}"
        return done.stdout

    # -- workers --------------------------------------------------------------------------------------------

    @property
    def up(self) -> list[str]:
        return [name for name in self._processes if name != "node"]

    def start(self, name: str) -> None:
        """Start a worker."""
        self._start(name, "worker", f"--name={name}", f"--set=nodes={self._nodes or self._node_url}")

    def await_ready(self, name: str) -> None:
        """Wait until a worker has its partitions."""

        def is_ready() -> bool:
            self.check()
            address = address_of(self.data_dir, name)
            return address is not None and ask(f"{address.url}/ready")[0] == 200

        until(is_ready, within_s=_READY_WITHIN_S, what=f"{name} is ready", every_s=0.05)

    def freeze(self, name: str) -> None:
        self._processes[name].send_signal(signal.SIGSTOP)

    def kill(self, name: str) -> None:
        """End it as a power failure would."""
        self.check()
        process = self._processes.pop(name)
        process.kill()
        process.wait(10)

    def stop(self, name: str) -> None:
        """Ask it to stop, and see that it does, with nothing to complain of."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(_STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"{name} did not stop:\n{self.said(name)}") from None
        assert code == 0, f"{name} stopped with {code}:\n{self.said(name)}"

    def check(self) -> None:
        """Nobody ends by itself."""
        for name, process in self._processes.items():
            assert process.poll() is None, f"{name} ended with {process.returncode}:\n{self.said(name)}"

    def said(self, name: str) -> str:
        """What the process of this name has printed, over all its runs."""
        return self._log(name).read_text(errors="replace")

    # -- what is seen from outside --------------------------------------------------------------------------

    def node(self) -> NodeCount:
        """The node's own count."""
        status, body = ask(f"{self._node_url}/metrics")
        assert status == 200
        figures = {name: int(float(value)) for name, value in _FIGURE.findall(body.decode())}
        in_flight = figures["requests_running"] + figures["requests_waiting"]
        return NodeCount(figures["completions_total"], in_flight)

    def read(self, topic: str) -> Iterator[Found]:
        """All that stands in a topic now; its name is given without the prefix."""
        return follow(
            self.settings, reach(self.settings), [f"{self.prefix}{topic}"], "start", on_and_on=False
        )

    def end(self, topic: str) -> int:
        """How many records were written to a topic until now."""
        reader = Reader(self.settings, reach(self.settings))
        try:
            return sum(reader.ends([f"{self.prefix}{topic}"]).values())
        finally:
            reader.close()

    def verdicts(self) -> list[Verdict]:
        """All verdicts, repeated ones too."""
        return [decode_verdict(found.value) for found in self.read("verdicts")]

    def await_verdicts(self, ids: Collection[str], *, within_s: float) -> dict[str, Verdict]:
        """Wait until all these events have a verdict; the latest of each."""
        wanted = set(ids)

        def found() -> dict[str, Verdict]:
            self.check()
            # To read them all again and again would take the time that the workers need.
            if self.end("verdicts") < len(wanted):
                return {}
            known = {verdict.id: verdict for verdict in self.verdicts() if verdict.id in wanted}
            return known if len(known) == len(wanted) else {}

        return until(found, within_s=within_s, what=f"{len(wanted)} verdicts", every_s=0.2)

    # -- processes ------------------------------------------------------------------------------------------

    @property
    def _node_url(self) -> str:
        address = address_of(self.data_dir, "node")
        assert address is not None, f"the node is gone:\n{self.said('node')}"
        return address.url

    def _start(self, name: str, *words: str) -> None:
        with self._log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                self._line(words),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                env=_environment(),
            )

    def _line(self, words: Collection[str]) -> list[str]:
        return [sys.executable, "-P", "-m", "infra.cli", *self._flags, *words]

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"


def _environment() -> dict[str, str]:
    """This process's variables without settings of anybody's, for a command that runs this checkout."""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK")}
    return {**theirs, "PYTHONPATH": str(ROOT)}
