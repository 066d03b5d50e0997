"""A connection that a broker closes in the middle is, on uvloop too, what aiokafka takes for a broken one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import uvloop
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import BrokerMetadata

from streams.connecting import PatientClient, PatientConsumer, PatientWriter

Work = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def with_a_connection(work: Work) -> None:
    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        served.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await work(writer)
        writer.close()
        await served.wait()


async def closed(writer: asyncio.StreamWriter) -> asyncio.StreamWriter:
    writer.transport.abort()
    await asyncio.sleep(0)
    return writer


def test_uvloop_still_raises_what_aiokafka_does_not_expect() -> None:
    """Once it does not, `streams.connecting` may go."""

    async def write(writer: asyncio.StreamWriter) -> None:
        with pytest.raises(RuntimeError, match="the handler is closed"):
            (await closed(writer)).write(b"x")

    uvloop.run(with_a_connection(write))


@pytest.mark.parametrize("is_closed", [False, True])
def test_what_is_closed_is_a_connection_that_was_reset(is_closed: bool) -> None:
    async def write(writer: asyncio.StreamWriter) -> None:
        patient = PatientWriter(writer)
        patient.write(b"x")
        assert patient.transport is writer.transport
        if is_closed:
            await closed(writer)
            with pytest.raises(ConnectionResetError):
                patient.write(b"x")

    uvloop.run(with_a_connection(write))


async def test_a_consumer_has_such_a_client_with_its_own_options() -> None:
    consumer = PatientConsumer(
        bootstrap_servers="127.0.0.1:9", group_id=None, request_timeout_ms=1_234, client_id="penstock"
    )
    client = consumer._client  # noqa: SLF001
    assert isinstance(client, PatientClient)
    assert (client._request_timeout_ms, client._client_id) == (1_234, "penstock")  # noqa: SLF001
    assert client.hosts[0][:2] == ("127.0.0.1", 9)
    await consumer.stop()


class Asked:
    """A client whose requests end as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.client = PatientClient(bootstrap_servers="127.0.0.1:9")
        self.silence = self.client.silence
        self.outcome: BaseException | None = None
        self.meanwhile_ms: float | None = None

        async def send(_: AIOKafkaClient, _node_id: int, _request: object, **_options: Any) -> str:
            await asyncio.sleep(0.01)
            self.meanwhile_ms = self.silence.lasts_ms
            if self.outcome is not None:
                raise self.outcome
            return "answer"

        monkeypatch.setattr(AIOKafkaClient, "send", send)

    async def ask(self, outcome: BaseException | None = None, *, fetch: bool = False) -> None:
        self.outcome = outcome
        request = FetchRequest(-1, 0, 0, 0, []) if fetch else FindCoordinatorRequest("g", 0)
        if outcome is None:
            assert await self.client.send(1, request) == "answer"
            return
        with pytest.raises(type(outcome)):
            await self.client.send(1, request)


@pytest.fixture
async def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


async def test_silence_lasts_from_the_first_question_without_an_answer_to_the_next_answer(
    asked: Asked,
) -> None:
    await asked.ask()
    assert asked.meanwhile_ms
    assert asked.silence.lasts_ms == 0
    await asked.ask(KafkaConnectionError())
    began_s = asked.silence.since_s
    assert began_s
    await asked.ask(NodeNotReadyError())
    assert asked.silence.since_s == began_s
    assert asked.silence.lasts_ms >= 10
    await asked.ask()
    assert asked.silence.since_s is None


async def test_a_fetch_that_waits_is_no_silence_and_one_that_fails_is(asked: Asked) -> None:
    await asked.ask(fetch=True)
    assert asked.meanwhile_ms == 0
    await asked.ask(KafkaConnectionError(), fetch=True)
    assert asked.silence.since_s


@pytest.mark.parametrize("outcome", [asyncio.CancelledError(), KafkaError()])
async def test_a_question_that_is_given_up_says_nothing(asked: Asked, outcome: BaseException) -> None:
    await asked.ask(outcome)
    assert asked.silence.since_s is None
    await asked.ask(KafkaConnectionError())
    began_s = asked.silence.since_s
    await asked.ask(outcome)
    assert asked.silence.since_s == began_s


async def test_a_port_where_nobody_listens_is_silence(unused_tcp_port: int) -> None:
    consumer = PatientConsumer(bootstrap_servers=f"127.0.0.1:{unused_tcp_port}", group_id=None)
    client = consumer._client  # noqa: SLF001
    client.cluster._brokers = {7: BrokerMetadata(7, "127.0.0.1", unused_tcp_port, None)}  # noqa: SLF001
    assert consumer.away_ms == 0
    assert not await client.ready(7)
    assert consumer.away_ms > 0
    await consumer.stop()
