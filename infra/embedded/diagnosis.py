"""Why a broker did not start, or stopped: one sentence for its user, from the last lines of its log."""

from __future__ import annotations

import re
from pathlib import Path

from infra.embedded.placing import PortTaken
from infra.errors import ExitCode, Failure

# What a broker writes at its end fits in there many times.
_TAIL_BYTES = 64 << 10
_STARTED = "Kafka Server started"
_TERMINATED = "Terminating process due to signal"
_BAD_LINE = re.compile(
    r"^(?:\S+ (?:ERROR|FATAL) |Exception in thread|Error: |.*OutOfMemoryError)(.*)$", re.MULTILINE
)


def tail(path: Path, bytes_max: int = _TAIL_BYTES) -> str:
    """The end of a file; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - bytes_max))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def explained(directory: Path, log: str, said: str, free_bytes: int, *, is_own: bool = True) -> Failure:
    """What to tell of a broker that has ended: `log` since its start, `said` on its output.

    One that is not our own was started by somebody else, who may have stopped it.
    """
    # 1. Kafka stops when it cannot write; its own words for it differ by the place where it happened.
    if "No space left on device" in said or "No space left on device" in log or free_bytes < 1 << 20:
        return disk_full(directory, free_bytes)
    # 2. Somebody was quicker than the broker at its port.
    if "Address already in use" in log or "Address already in use" in said:
        return PortTaken(
            f"A port of the embedded Kafka in {directory} was taken while it started: start it again, "
            "or give embedded.port one that is free."
        )
    # 3. Rights, or a file system that is read-only.
    if (
        "AccessDeniedException" in log + said
        or "Permission denied" in log + said
        or "Read-only file" in log + said
    ):
        return Failure(
            f"The embedded Kafka cannot write in {directory}: give this user the right, or name another "
            "--data-dir.",
            exit_code=ExitCode.TAKEN,
        )
    # 4. Memory: its own bound, or the machine's.
    if (
        "OutOfMemoryError" in log + said
        or "insufficient memory" in said
        or "Could not reserve enough space" in said
    ):
        return Failure(
            "The embedded Kafka ran out of memory: raise embedded.heap_mb, or free some of the machine's "
            "(`penstock doctor`).",
            exit_code=ExitCode.EMBEDDED_KAFKA,
        )
    # 5. It was told to end, or was killed: nothing is wrong with it.
    complaint = _last_complaint(said) or _last_complaint(log)
    if not is_own or not complaint or log.rfind(_TERMINATED) > log.rfind(_STARTED):
        return Failure(
            f"The embedded Kafka in {directory} ended while it was waited for "
            f"({complaint or 'it said nothing'}): somebody may have stopped it, as `penstock up` does with "
            "its own; start it again, or see `penstock kafka logs`.",
            exit_code=ExitCode.EMBEDDED_KAFKA,
        )
    # 6. Whatever it is, in its own words.
    return Failure(
        f"The embedded Kafka in {directory} stopped ({complaint}): see `penstock kafka logs`; "
        "if its data is not needed, delete that directory.",
        exit_code=ExitCode.EMBEDDED_KAFKA,
    )


def disk_full(directory: Path, free_bytes: int) -> Failure:
    return Failure(
        f"The disk of {directory} is full ({free_bytes >> 20} MB left): make room, or name another "
        "--data-dir.",
        exit_code=ExitCode.TAKEN,
    )


def not_writable(directory: Path, error: OSError) -> Failure:
    return Failure(
        f"The embedded Kafka's directory {directory} cannot be written ({error.strerror or error}): "
        "name another --data-dir.",
        exit_code=ExitCode.TAKEN,
    )


def _last_complaint(text: str) -> str:
    found = _BAD_LINE.findall(text)
    return str(found[-1]).strip()[:200].rstrip(".") if found else ""
