"""A reference node in a process of its own, on a port that it keeps, to be killed, frozen and made to fail.

with NodeProcess(tmp_path / "a") as node:
node.start()
node.kill()
node.start("status_503=1")
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

from deadline import until

from infra.running import NODE, address_of, ask

ROOT = Path(__file__).parents[2]
# An interpreter on two busy cores.
_LISTENS_WITHIN_S = 60.0


class NodeProcess:
    """One node."""

    def __init__(self, directory: Path, *, slots: int, alpha_ms: int) -> None:
        directory.mkdir(parents=True)
        self.name = directory.name
        self._directory = directory
        self._port = _free_port()
        self._sets = (
            *(f"--set=reference_node.slots={slots}", f"--set=reference_node.alpha_ms={alpha_ms}"),
            *(
                f"--set=reference_node.{price}=0"
                for price in ("beta_ms", "prompt_token_us", "output_token_us")
            ),
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self, *faults: str) -> None:
        """Run it, failing at these rates, and do not wait until it listens."""
        assert self._process is None
        command = (sys.executable, "-P", "-m", "infra.cli", f"--data-dir={self._directory}", *self._sets)
        flags = (f"--port={self._port}", *(f"--fault={fault}" for fault in faults))
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "node", *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

    def await_listening(self) -> None:
        def listens() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, (self._directory / "log").read_text(errors="replace")
            return address_of(self._directory, NODE) is not None and ask(f"{self.url}/health")[0] == 200

        until(listens, within_s=_LISTENS_WITHIN_S, what=f"node {self.name} listens")

    def kill(self) -> None:
        """End it as a power failure would."""
        assert self._process is not None
        process, self._process = self._process, None
        process.kill()
        process.wait(10)

    def freeze(self) -> None:
        """It takes connections still, because the kernel does, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
