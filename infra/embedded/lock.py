"""Makes `kafka.lock`: `python -m infra.embedded.lock [VERSION]`, for developers, when Kafka is to be renewed.

jgo resolves the coordinates; every jar is fetched, measured and hashed. At run time the lock alone is read.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Any

from infra.embedded.artifacts import LOCK_FILE, Artifact, Lock, read_lock
from infra.embedded.repository import repository_address

_HEADER = """\
# The jars of the embedded Kafka: group, coordinates, size, SHA-256; of no repository in particular.
# Made by `python -m infra.embedded.lock VERSION`; do not edit.
"""
# Kafka logs through slf4j and leaves it to its distribution to bring a backend: the one of the log4j it uses.
_LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl"
_LOG4J = "org.apache.logging.log4j:log4j-core:"
# The tools' jar alone: what else it declares (Connect, with a web server of 40 jars) belongs to tools that
# nobody needs for a console producer or consumer, and the broker's jars hold the rest.
_TOOLS = "org.apache.kafka:kafka-tools"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.embedded.lock", description=__doc__)
    parser.add_argument("version", nargs="?", help="Kafka's version; the locked one if not given")
    parser.add_argument("--mirror", default="", help="base address of a Maven repository")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lock = make_lock(args.version or read_lock().version, args.mirror, Path(folder))
    LOCK_FILE.write_text(_HEADER + "".join(f"{one.line}\n" for one in lock.artifacts), encoding="ascii")
    sys.stdout.write(f"{LOCK_FILE}: Kafka {lock.version}, {len(lock.artifacts)} jars\n")


def make_lock(version: str, mirror: str, folder: Path) -> Lock:
    """Resolve Kafka, fetch what it needs into a folder, and describe it."""
    from jgo.maven import MavenContext  # noqa: PLC0415  Nobody but this developer's command needs it.

    maven = MavenContext(
        repo_cache=folder, local_repos=[], remote_repos={"repository": repository_address(mirror)}, timeout=60
    )
    # Each root by itself: jgo lets every root manage the versions of all, and log4j's management would put
    # an older kafka-clients under a newer broker.
    roots, others = maven.resolver.resolve(
        [maven.create_dependency(f"org.apache.kafka:kafka_2.13:{version}")]
    )
    names = sorted(_coordinates(one) for one in (*roots, *others) if not one.optional)
    log4j = next(name.removeprefix(_LOG4J) for name in names if name.startswith(_LOG4J))
    broker = sorted({*names, f"{_LOGGING}:{log4j}"})
    tools = [f"{_TOOLS}:{version}"]
    return Lock(
        tuple(
            _described(group, name, Path(maven.create_dependency(name).artifact.resolve()))
            for group, names in (("kafka", broker), ("tools", tools))
            for name in names
        )
    )


def _coordinates(dependency: Any) -> str:
    if dependency.classifier or dependency.type != "jar":
        raise ValueError(f"not a plain jar: {dependency}")
    return f"{dependency.groupId}:{dependency.artifactId}:{dependency.version}"


def _described(group: str, coordinates: str, jar: Path) -> Artifact:
    content = jar.read_bytes()
    return Artifact(group, coordinates, len(content), hashlib.sha256(content).hexdigest())


if __name__ == "__main__":
    main()
