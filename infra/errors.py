"""How the command line fails: one sentence on stderr and one exit code from the table below.

Everything that can go wrong for a user ends here: infra's modules translate foreign errors into a `Failure`
at their border, and `infra.cli.main` prints the sentence and returns the code. Nothing here prints or exits.
"""

from __future__ import annotations

import errno
from enum import IntEnum

READER_IS_GONE = frozenset({errno.EPIPE, errno.EIO, errno.ENXIO, errno.EBADF})
"""What writing to an output fails with whose reader is gone: a pipe (EPIPE), a terminal (EIO, ENXIO)."""


class ExitCode(IntEnum):
    """What the exit status of `penstock` says. Scripts rely on it: a number is never given a new meaning."""

    OK = 0
    """Done."""
    UNEXPECTED = 1
    """A bug of ours; `--debug` shows where."""
    USAGE = 2
    """The command line or the settings are wrong."""
    KAFKA_UNREACHABLE = 3
    """No broker answers."""
    TOPICS = 4
    """Topics are missing, or have drifted from the topic table."""
    POLICY = 5
    """The policy is missing or cannot be used."""
    NODE_UNREACHABLE = 6
    """No inference node answers."""
    EMBEDDED_KAFKA = 7
    """The embedded Kafka cannot be fetched or started."""
    TAKEN = 8
    """A port or a directory is taken or cannot be written."""
    CHILD_KEPT_DYING = 9
    """A child of `up` died more often than it may be restarted."""
    TIMED_OUT = 10
    """What was waited for did not come in time (`send --wait`)."""
    POSITION_LOST = 11
    """The broker no longer holds the position to read from: retention, or a topic made anew."""
    PRODUCER_FATAL = 12
    """The producer met an error after which it may not go on."""
    UNKNOWN_VERSION = 13
    """A record of an unknown version stands on one of our own topics."""
    CRASH_LOOP = 14
    """A stage fails again and again on the same work."""
    NOT_RUNNING = 15
    """Nothing of Penstock runs for this data directory."""
    FENCED = 16
    """Another process has taken over this worker's place in its group."""
    FORBIDDEN = 17
    """Kafka does not let our user do what a worker must."""
    DAMAGED = 18
    """What a broker holds of a topic is damaged: its checksum is another one."""
    INTERRUPTED = 130
    """Ctrl-C: 128 + SIGINT, as shells count."""
    READER_GONE = 141
    """Whoever read our output has closed it, as `head` does: 128 + SIGPIPE."""


class PenstockError(Exception):
    """What all errors of our own on the command line's side derive from."""


class Failure(PenstockError):
    """A command cannot do what was asked.

    The sentence says what, where and what to do, and is shown as it stands: it must hold no secret, and of an
    event's content nothing.
    """

    def __init__(self, sentence: str, *, exit_code: ExitCode) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.exit_code = exit_code
