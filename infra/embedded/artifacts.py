"""What the embedded Kafka is made of: jars by Maven coordinates, each with its size and SHA-256.

`kafka.lock` beside this module names them all; `lock.py` writes it, `fetching.py` brings what it names. With
it in hand nothing is resolved at run time: coordinates say the path in any Maven repository.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

LOCK_FILE = Path(__file__).with_name("kafka.lock")
GROUPS = ("kafka", "tools")
# Kafka's own artifact, whose version is the version of the whole.
_KAFKA = "org.apache.kafka:kafka_2.13:"
_LINE = re.compile(
    r"(?P<group>[a-z]+) (?P<coordinates>[\w.-]+:[\w.-]+:[\w.-]+) "
    r"size=(?P<size>[0-9]{1,12}) sha256=(?P<sha256>[0-9a-f]{64})",
    re.ASCII,
)


class BadLock(ValueError):
    """The lock file is not what `python -m infra.embedded.lock` writes."""


@dataclass(frozen=True, slots=True, order=True)
class Artifact:
    """One jar: `coordinates` are group:artifact:version."""

    group: str
    coordinates: str
    size_bytes: int
    sha256: str

    @property
    def path(self) -> str:
        """Where it lies in a Maven repository, and below our cache."""
        group_id, name, version = self.coordinates.split(":")
        return f"{group_id.replace('.', '/')}/{name}/{version}/{name}-{version}.jar"

    @property
    def line(self) -> str:
        """Its line in the lock file."""
        return f"{self.group} {self.coordinates} size={self.size_bytes} sha256={self.sha256}"


@dataclass(frozen=True, slots=True)
class Lock:
    """All jars, of all groups."""

    artifacts: tuple[Artifact, ...]

    @property
    def version(self) -> str:
        """Kafka's version."""
        found = [one.coordinates for one in self.artifacts if one.coordinates.startswith(_KAFKA)]
        if not found:
            raise BadLock(f"names no {_KAFKA}…")
        return found[0].removeprefix(_KAFKA)

    def of(self, *groups: str) -> tuple[Artifact, ...]:
        """The jars of some groups: `kafka` is the broker, `tools` what its tools need besides."""
        return tuple(one for one in self.artifacts if one.group in groups)


def read_lock(path: Path = LOCK_FILE) -> Lock:
    return parse_lock(path.read_text(encoding="ascii"))


def parse_lock(text: str) -> Lock:
    """Read a lock file's text; comments and empty lines are passed over, anything else must be a jar."""
    artifacts: dict[str, Artifact] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        artifact = _parse_line(line, number)
        if artifact.path in artifacts:
            raise BadLock(f"line {number}: {artifact.coordinates} stands there twice")
        artifacts[artifact.path] = artifact
    return Lock(tuple(artifacts.values()))


def _parse_line(line: str, number: int) -> Artifact:
    match = _LINE.fullmatch(line)
    if match is None or match["group"] not in GROUPS:
        raise BadLock(f"line {number}: is no `group coordinates size=… sha256=…`")
    if ".." in match["coordinates"]:
        # A path is made of them: none may lead out of the cache.
        raise BadLock(f"line {number}: `..` in coordinates")
    return Artifact(match["group"], match["coordinates"], int(match["size"]), match["sha256"])
