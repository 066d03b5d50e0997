"""Who runs for a data directory, and what they say of themselves: `run/<name>.json`, then HTTP on loopback.

Each worker and the reference node write such a file when they listen and take it back when they stop; one
that was killed leaves its file behind, so a name counts only if its process is there.
"""

from __future__ import annotations

import http.client
import os
import secrets
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from infra.errors import ExitCode, Failure
from infra.supervise.lock import not_writable
from infra.supervise.processes import started_at
from schemas.settings import NodeKind
from streams.observing import WorkerStatus

# A worker answers from memory; the bound is for one that was stopped in the middle (SIGSTOP, swap).
_ANSWER_WITHIN_S = 2.0
_BODY_BYTES_MAX = 16 << 20

NODE = "node"
_NOT_PROCESSES = {"children"}

_decode_status = msgspec.json.Decoder(WorkerStatus).decode


class Address(msgspec.Struct, frozen=True):
    """Where a process of this data directory listens."""

    pid: int
    url: str
    kind: NodeKind = "penstock"
    """Of a node: which engine it is to those who ask it."""

    @property
    def node(self) -> str:
        """What such a node is called before people."""
        return "the reference node" if self.kind == "penstock" else f"a model, by {self.kind}"


_decode_address = msgspec.json.Decoder(Address).decode


def address_of(data_dir: Path, name: str) -> Address | None:
    """The address of one process, if it runs."""
    try:
        address = _decode_address((data_dir / "run" / f"{name}.json").read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None
    return address if started_at(address.pid) else None


def tell(path: Path, url: str, kind: NodeKind = "penstock") -> None:
    """Write where this process listens, whole or not at all: a reader never sees half of it."""
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(msgspec.json.encode(Address(os.getpid(), url, kind)))
        unfinished.replace(path)
    except OSError as error:
        raise Failure(
            f"{path} cannot be written ({error.strerror}): choose another directory with --data-dir.",
            exit_code=ExitCode.TAKEN,
        ) from None


def untell(path: Path, pid: int | None = None) -> None:
    """Take back what this process told, or one that was killed, unless another of its name has since."""
    try:
        if _decode_address(path.read_bytes()).pid == (os.getpid() if pid is None else pid):
            path.unlink()
    except (OSError, msgspec.MsgspecError):
        # Gone, or not ours: there is nothing of ours to take back.
        return


def identity_of(data_dir: Path) -> str:
    """What tells this data directory from all others that work on the same Kafka; made once."""
    path = data_dir / "identity"
    unfinished = data_dir / f"identity.{os.getpid()}.tmp"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(secrets.token_hex(4), encoding="ascii")
        # Unlike a rename, a link leaves what another process has just made.
        with suppress(FileExistsError):
            os.link(unfinished, path)
        unfinished.unlink()
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise not_writable(data_dir, error) from None


def worker_addresses(data_dir: Path) -> Iterator[tuple[str, Address]]:
    """All workers that run, by name."""
    for file in sorted((data_dir / "run").glob("*.json")):
        if file.stem != NODE and file.stem not in _NOT_PROCESSES:
            address = address_of(data_dir, file.stem)
            if address is not None:
                yield file.stem, address


def worker_statuses(data_dir: Path) -> dict[str, WorkerStatus | None]:
    """What each running worker says of itself; None for one that does not answer."""
    return {name: _status_at(address.url) for name, address in worker_addresses(data_dir)}


def ask(url: str, *, within_s: float = _ANSWER_WITHIN_S) -> tuple[int, bytes]:
    """GET an address on this machine, by no proxy: (status, body); (0, b"") where nobody answers."""
    connection = _connection(url, within_s)
    try:
        connection.request("GET", urlsplit(url).path or "/")
        response = connection.getresponse()
        return response.status, response.read(_BODY_BYTES_MAX)
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def _connection(url: str, within_s: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme != "https":
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=within_s)
    # The reference node signs for itself. It is only asked how it is, and is told nothing; the worker, which
    # tells it content, does verify it.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=within_s, context=context)


def _status_at(url: str) -> WorkerStatus | None:
    code, body = ask(f"{url}/status")
    try:
        return _decode_status(body) if code == http.client.OK else None
    except msgspec.MsgspecError:
        # Another release, or not a worker at all.
        return None
