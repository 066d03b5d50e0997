"""Fetches locked jars from a Maven repository: in parallel, each whole and verified or not at all.

A jar is written under a temporary name, hashed on its way, and renamed when its SHA-256 is the locked one; so
a file under its own name is never a half one. jgo can fetch, too, but writes under the final name and only
warns of a wrong checksum: hence this. Errors of HTTP end here.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import certifi
import httpx

from infra.embedded.artifacts import Artifact
from infra.embedded.jars import PART_SUFFIX, not_writable
from infra.embedded.progress import Progress
from infra.embedded.repository import repository_address, shown
from infra.errors import ExitCode, Failure

_PARALLEL = 8
# Before the second and the third try: a repository that is busy or restarts is back soon, or not for long.
_PAUSES_S = (0.2, 0.8)
_TIMEOUT_S = 20.0
_CHUNK_BYTES = 1 << 16


class _NotGot(Exception):
    """One try on one jar failed: why, whether another may succeed, and what the user can do."""

    def __init__(self, reason: str, advice: str, *, is_passing: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice
        self.is_passing = is_passing


def fetch_all(artifacts: Sequence[Artifact], cache: Path, mirror: str, progress: Progress) -> None:
    """Fetch these jars into the cache; the first that cannot be had ends it with a `Failure`."""
    address = repository_address(mirror)
    tally = _Tally(sum(one.size_bytes for one in artifacts), progress)
    # `trust_env`: HTTP_PROXY, HTTPS_PROXY and NO_PROXY hold, as for any client.
    with httpx.Client(timeout=_TIMEOUT_S, follow_redirects=True, trust_env=True, verify=_trusted()) as client:
        fetcher = _Fetcher(client, address, cache, tally)
        pool = ThreadPoolExecutor(_PARALLEL)
        try:
            # The large ones first, so that none of them is begun when all others are done.
            ordered = sorted(artifacts, key=lambda one: -one.size_bytes)
            for done in [pool.submit(fetcher.fetch, one) for one in ordered]:
                done.result()
        finally:
            # After a failure or Ctrl-C the others would be fetched for nothing.
            fetcher.stop()
            pool.shutdown(wait=True, cancel_futures=True)


class _Tally:
    """How many bytes have come, over all threads."""

    def __init__(self, total_bytes: int, progress: Progress) -> None:
        self._total_bytes = total_bytes
        self._progress = progress
        self._lock = threading.Lock()
        self._done_bytes = 0

    def add(self, count: int) -> None:
        with self._lock:
            self._done_bytes += count
            self._progress(self._done_bytes, self._total_bytes)


class _Fetcher:
    """Fetches single jars, from any thread."""

    def __init__(self, client: httpx.Client, address: str, cache: Path, tally: _Tally) -> None:
        self._client = client
        self._address = address
        self._cache = cache
        self._tally = tally
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let all threads end as soon as they notice."""
        self._stopped.set()

    def fetch(self, artifact: Artifact) -> None:
        """Fetch one jar; what may pass is tried again, anything else is a `Failure`."""
        for pause_s in (*_PAUSES_S, 0.0):
            try:
                return self._try(artifact)
            except OSError as error:
                raise not_writable(self._cache, error) from None
            except _NotGot as not_got:
                if not not_got.is_passing or not pause_s or self._stopped.wait(pause_s):
                    raise self._failure(artifact, not_got) from None
        return None

    def _try(self, artifact: Artifact) -> None:
        path = self._cache / artifact.path
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}{PART_SUFFIX}")
        came_bytes = 0
        try:
            with part.open("wb") as file:
                came_bytes = self._download(artifact, file)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        self._tally.add(came_bytes)

    def _download(self, artifact: Artifact, file: BinaryIO) -> int:
        """Write one jar's bytes, as they are verified to be the locked ones."""
        try:
            with self._client.stream("GET", f"{self._address}/{artifact.path}") as response:
                _check_status(response)
                return self._write(artifact, response.iter_bytes(_CHUNK_BYTES), file)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise _NotGot(
                "that is no address of a repository", "set embedded.mirror right", is_passing=False
            ) from None
        except httpx.HTTPError as error:
            raise _NotGot(
                _said(error),
                "check the network, HTTPS_PROXY and embedded.mirror, or bring the jars from another machine: "
                f"`penstock kafka fetch` there, then copy {self._cache}",
                is_passing=True,
            ) from None

    def _write(self, artifact: Artifact, chunks: Iterable[bytes], file: BinaryIO) -> int:
        digest = hashlib.sha256()
        came_bytes = 0
        for chunk in chunks:
            if self._stopped.is_set():
                raise _NotGot("another jar failed", "see there", is_passing=False)
            came_bytes += len(chunk)
            if came_bytes > artifact.size_bytes:
                break
            digest.update(chunk)
            file.write(chunk)
        if came_bytes != artifact.size_bytes or digest.hexdigest() != artifact.sha256:
            raise _wrong_content(artifact, came_bytes, digest.hexdigest())
        return came_bytes

    def _failure(self, artifact: Artifact, not_got: _NotGot) -> Failure:
        return Failure(
            f"The embedded Kafka's {artifact.coordinates} could not be had from {shown(self._address)} "
            f"({not_got.reason}); nothing of it was kept: {not_got.advice}.",
            exit_code=ExitCode.EMBEDDED_KAFKA,
        )


def _trusted() -> ssl.SSLContext:
    """Whom to believe: the system's authorities, among them a company's own, and the public ones."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _check_status(response: httpx.Response) -> None:
    if response.is_success:
        return
    # 408 and 429 say themselves that it may be tried again.
    is_passing = response.is_server_error or response.status_code in {408, 429}
    advice = "try again later" if is_passing else "check embedded.mirror: it must be a whole Maven repository"
    raise _NotGot(f"it answered {response.status_code}", advice, is_passing=is_passing)


def _wrong_content(artifact: Artifact, came_bytes: int, sha256: str) -> _NotGot:
    if came_bytes < artifact.size_bytes:
        reason = f"only {came_bytes} of {artifact.size_bytes} bytes came"
        return _NotGot(reason, "try again, or set embedded.mirror to another repository", is_passing=True)
    reason = f"its SHA-256 is not the locked one: {sha256[:16]}…, not {artifact.sha256[:16]}…"
    if came_bytes > artifact.size_bytes:
        reason = f"it is larger than the locked {artifact.size_bytes} bytes"
    advice = "something between here and there changes files; ask whoever runs it, or set embedded.mirror"
    return _NotGot(reason, advice, is_passing=False)


def _said(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__
