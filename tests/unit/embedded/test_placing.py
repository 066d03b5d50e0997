"""Ports: those of the last start where they are free, the one asked for or a sentence; never one twice."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.embedded.placing import PortTaken, place_brokers
from infra.embedded.ports import free_port, is_free
from infra.embedded.properties import Place
from infra.errors import ExitCode, Failure

# Few ports, so that they meet.
PORTS = st.integers(1, 30)


class FakeMachine:
    """Ports that are taken, and a way to draw those that are not."""

    def __init__(self, taken: Collection[int] = ()) -> None:
        self.taken = set(taken)

    def is_free(self, port: int) -> bool:
        return port not in self.taken

    def draw(self, used: Collection[int]) -> int:
        return next(port for port in range(1, 100) if port not in self.taken and port not in used)


def places(machine: FakeMachine, kept: Collection[Place] = (), **wishes) -> tuple[Place, ...]:
    wishes = {"brokers": 1, "port": 0, "is_secure": False} | wishes
    return place_brokers(tuple(kept), is_free=machine.is_free, draw=machine.draw, **wishes)


@given(
    taken=st.sets(PORTS, max_size=20),
    kept=st.lists(st.tuples(PORTS, PORTS, PORTS), max_size=3),
    brokers=st.sampled_from([1, 3]),
    port=st.integers(0, 30),
    is_secure=st.booleans(),
)
def test_every_port_is_free_and_nobody_else_s(
    taken: set[int], kept: list[tuple[int, int, int]], brokers: int, port: int, is_secure: bool
) -> None:
    machine = FakeMachine(taken)
    old = [Place(number, *ports) for number, ports in enumerate(kept, 1)]
    wishes = {"brokers": brokers, "port": port, "is_secure": is_secure}
    if port in taken:
        with pytest.raises(PortTaken):
            places(machine, old, **wishes)
        return
    made = places(machine, old, **wishes)
    assert [place.node_id for place in made] == list(range(1, brokers + 1))
    given_away = [
        one for place in made for one in (place.port, place.controller_port, place.secure_port) if one
    ]
    assert len(given_away) == len(set(given_away)) == brokers * (2 + is_secure)
    assert not set(given_away) & taken
    assert port in {0, made[0].port}


def test_the_ports_of_the_last_start_are_kept() -> None:
    kept = (Place(1, 50, 51, 52), Place(2, 60, 61, 62), Place(3, 70, 71, 72))
    assert places(FakeMachine(), kept, brokers=3, is_secure=True) == kept


def test_a_port_that_a_stranger_has_got_meanwhile_is_let_go() -> None:
    assert places(FakeMachine({50}), [Place(1, 50, 51)]) == (Place(1, 1, 51),)


def test_a_port_asked_for_replaces_the_kept_one() -> None:
    assert places(FakeMachine(), [Place(1, 50, 51)], port=51) == (Place(1, 51, 1),)


def test_a_taken_port_is_refused_with_a_sentence() -> None:
    with pytest.raises(PortTaken, match=r"Port 9092 on 127\.0\.0\.1 is taken: .*embedded\.port") as caught:
        places(FakeMachine({9092}), port=9092)
    assert caught.value.exit_code == ExitCode.TAKEN


def test_a_listener_takes_its_port_and_gives_it_back() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        port = listener.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_a_port_is_drawn_below_those_of_outgoing_connections() -> None:
    port = free_port()
    assert is_free(port)
    assert 20_000 <= port <= 32_000


def test_a_port_given_away_is_not_drawn_again() -> None:
    first = free_port(chance=random.Random(7))
    assert free_port({first}, chance=random.Random(7)) != first


def test_without_any_free_port_it_says_so() -> None:
    with pytest.raises(Failure, match=r"No port between .* set embedded\.port"):
        free_port(range(65_536))
