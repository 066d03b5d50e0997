"""The environments of the peers: one for each, made on first use from its lock file, in the user's cache.

They bring libraries that ours must not have, and versions that ours cannot have. What stands in a lock file
names its environment, so a changed one makes a new environment.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from infra.bench.engine_suite.arena import ROOT
from infra.embedded.jars import user_cache

_WITHIN_S = 600.0


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody who does the same job."""

    name: str
    requirements: Path
    overhead_ratio_max: float
    """Our overhead, of theirs."""


PEERS = (
    Peer("Bytewax", ROOT / "requirements" / "peer-bytewax.txt", 0.6),
    Peer("Quix Streams", ROOT / "requirements" / "peer-quixstreams.txt", 0.3),
)


class NoEnvironment(Exception):
    """A peer that cannot be installed; the message says why."""


def interpreter_of(peer: Peer, cache: Path | None = None) -> str:
    """The peer's Python; its environment is made first if it is not there."""
    directory = (cache or user_cache()) / "peers" / _directory_name(peer)
    interpreter = directory / "bin" / "python"
    if not (directory / "ready").exists():
        shutil.rmtree(directory, ignore_errors=True)
        print(f"  installing {peer.name} into {directory} …", flush=True)
        _run(sys.executable, "-m", "venv", str(directory))
        # Only wheels: building one needs compilers, and runs what the peer's authors wrote.
        install = ("install", "--quiet", "--disable-pip-version-check", "--require-hashes")
        _run(str(interpreter), "-m", "pip", *install, "--only-binary", ":all:", "-r", str(peer.requirements))
        (directory / "ready").touch()
    return str(interpreter)


def _directory_name(peer: Peer) -> str:
    version = "".join(platform.python_version_tuple()[:2])
    return f"{peer.requirements.stem}-{version}-{sha256(peer.requirements.read_bytes()).hexdigest()[:12]}"


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as trouble:
        raise NoEnvironment(str(trouble)) from trouble
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise NoEnvironment(said[-1])
