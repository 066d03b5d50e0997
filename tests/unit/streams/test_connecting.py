"""A connection that a broker closes in the middle is, on uvloop too, what aiokafka takes for a broken one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import uvloop

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
