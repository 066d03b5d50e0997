"""The cache of jars: what is there as locked, and who may fetch what is not.

Several instances and several users' runs share one cache. One process fetches at a time; the others wait and
find the jars there. Fetching itself is `fetching.py`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from infra.embedded.artifacts import Artifact
from infra.embedded.progress import Progress, silent
from infra.errors import ExitCode, Failure

PART_SUFFIX = ".part"


def cache_directory(setting: str) -> Path:
    """Where the jars are kept: as set, else the user's cache directory."""
    if setting:
        return Path(setting).expanduser()
    return user_cache() / "jars"


def user_cache() -> Path:
    """Where a user's programs keep what they can fetch again."""
    # The desktop's convention for all programs, not a setting of ours.
    base = os.environ.get("XDG_CACHE_HOME", "")  # noqa: TID251
    # The convention has relative paths ignored.
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "penstock"


def ensure(
    artifacts: Sequence[Artifact], cache: Path, mirror: str = "", progress: Progress = silent
) -> list[Path]:
    """The paths of all these jars, verified; what is missing is fetched first."""
    if missing(artifacts, cache):
        with _sole_fetcher(cache):
            # Looked at again: whoever held the lock until now has probably fetched them.
            wanted = missing(artifacts, cache)
            if wanted:
                # Here, not above: its HTTP client takes 0.1 s to import, and is mostly not needed.
                from infra.embedded.fetching import fetch_all  # noqa: PLC0415

                fetch_all(wanted, cache, mirror, progress)
    return [cache / one.path for one in artifacts]


def missing(artifacts: Sequence[Artifact], cache: Path) -> list[Artifact]:
    """The jars that are not in the cache as locked. It is always the full hash: 45 MB take 0.05 s."""
    with ThreadPoolExecutor(2) as pool:
        sound = pool.map(lambda one: is_sound(one, cache / one.path), artifacts)
        return [one for one, is_there in zip(artifacts, sound, strict=True) if not is_there]


def is_sound(artifact: Artifact, path: Path) -> bool:
    """Whether a file is the jar."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != artifact.size_bytes:
                return False
            return hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256
    except OSError:
        return False


def not_writable(cache: Path, error: OSError) -> Failure:
    """What is said of a cache that cannot be filled."""
    return Failure(
        f"The jars of the embedded Kafka cannot be kept in {cache} ({error.strerror}): "
        "make room or name another place with embedded.cache_dir.",
        exit_code=ExitCode.TAKEN,
    )


@contextmanager
def _sole_fetcher(cache: Path) -> Iterator[None]:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(cache / "fetching.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise not_writable(cache, error) from None
    try:
        # The system takes the lock back however its holder ends, so nobody waits for a dead one.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for left in cache.rglob(f"*{PART_SUFFIX}"):
            # Of a fetcher that was killed.
            left.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)
