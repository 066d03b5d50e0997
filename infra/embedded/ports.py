"""Ports for brokers on this machine: a free one that is likely to be free again at the next start."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

from infra.errors import ExitCode, Failure

HOST = "127.0.0.1"
# Below the range from which systems take the local ports of outgoing connections (32768 on Linux, 49152 on
# macOS). A port of that range could be lost to any connection while the broker is down; and a client that
# tries and tries to reach a broker that is down may be given that very port, and be connected with itself.
_FIRST, _LAST = 20_000, 32_000
_TRIES = 200


def is_free(port: int) -> bool:
    """Whether a broker could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Java does: connections of an earlier life that linger do not count, a listener does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port(taken: Collection[int] = (), chance: random.Random | None = None) -> int:
    """A port where nobody listens and that is none of those already given away.

    It is drawn, so that two instances that start at one time rarely draw the same; whoever loses draws anew.
    """
    drawn = chance or random.SystemRandom()
    for _ in range(_TRIES):
        port = drawn.randint(_FIRST, _LAST)
        if port not in taken and is_free(port):
            return port
    raise Failure(
        f"No port between {_FIRST} and {_LAST} seems to be free ({_TRIES} were tried): set embedded.port.",
        exit_code=ExitCode.TAKEN,
    )
