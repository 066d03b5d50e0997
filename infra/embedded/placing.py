"""Which ports the brokers of an instance listen on: those of its last start if they are free. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from infra.embedded.ports import HOST
from infra.embedded.properties import Place
from infra.errors import ExitCode, Failure


class PortTaken(Failure):
    """Somebody else listens where a broker was told to."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, exit_code=ExitCode.TAKEN)


def place_brokers(
    kept: Sequence[Place],
    *,
    brokers: int,
    port: int,
    is_secure: bool,
    is_free: Callable[[int], bool],
    draw: Callable[[Collection[int]], int],
) -> tuple[Place, ...]:
    """Give every broker its ports. `port` is the first one's, 0 for any; `draw` finds another."""
    if port and not is_free(port):
        raise PortTaken(
            f"Port {port} on {HOST} is taken: stop what listens there, set embedded.port to another, or to 0 "
            "for any."
        )
    used = {port} if port else set()

    def choose(wish: int) -> int:
        # A kept port is let go if it is now the first broker's, or if a stranger has got it meanwhile.
        chosen = wish if wish and wish not in used and is_free(wish) else draw(used)
        used.add(chosen)
        return chosen

    known = {place.node_id: place for place in kept}
    places = []
    for node_id in range(1, brokers + 1):
        old = known.get(node_id, Place(node_id, 0, 0))
        places.append(
            Place(
                node_id,
                port if port and node_id == 1 else choose(old.port),
                choose(old.controller_port),
                choose(old.secure_port) if is_secure else 0,
            )
        )
    return tuple(places)
