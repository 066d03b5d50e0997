"""The HTTP client of a node: whatever happens on the wire is one of the port's faults, and nothing else."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from deadline import eventually
from nodes import POLICY, http_node, question, reference_node

from infra.errors import ExitCode, Failure
from infra.nodes.client import HttpNode
from infra.nodes.exchange import RESPONSE_BYTES_MAX
from schemas.event import Moderate
from schemas.settings import NodeSettings, Secret
from streams.clock import ManualClock, SystemClock
from streams.ports import (
    BadAnswer,
    Misconfigured,
    NodeFault,
    Overloaded,
    Question,
    Refused,
    TimedOut,
    Unreachable,
)

TLS = Path(__file__).parent / "tls"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GOOD = {
    "choices": [
        {"message": {"content": '{"labels":[{"name":"none","percent":90}]}'}, "finish_reason": "stop"}
    ]
}


class FakeEngine:
    """An engine that answers as the test has it, and keeps what it was asked."""

    def __init__(self, answer: web.Response | None = None) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.models = ["first", "second"]
        self._body = msgspec.json.encode(GOOD)
        self._answer = answer

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.path, dict(request.headers), await request.read()))
        if request.path == "/v1/models":
            return web.json_response({"data": [{"id": model} for model in self.models]})
        return self._answer or web.Response(body=self._body, content_type="application/json")


@asynccontextmanager
async def serving(engine: FakeEngine) -> AsyncIterator[str]:
    server = web.Server(engine)
    runner = web.ServerRunner(server, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def streaming(talk: Talk) -> AsyncIterator[str]:
    """A server below HTTP; when the test is over, what it still says is cut short."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            await talk(reader, writer)
        except ConnectionError:
            pass  # The client has had enough, which is what these tests are about.
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def sending(*pieces: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    return talk


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        ("status_429", Overloaded),
        ("status_503", Overloaded),
        ("status_500", Unreachable),
        ("status_401", Misconfigured),
        ("status_422", Refused),
        ("drop", Unreachable),
        ("drop_midway", Unreachable),
        ("not_json", BadAnswer),
        ("truncated", BadAnswer),
        ("unknown_label", BadAnswer),
        ("huge_5", BadAnswer),
        ("hang", TimedOut),
        ("delay_60000", TimedOut),
    ],
)
async def test_every_fault_of_a_node_is_a_fault_of_the_port(fault, raised):
    async with reference_node(faults=f"{fault}=1") as (server, url):
        async with http_node(url, name="n1", timeout_ms=300, model="penstock-reference-1") as node:
            with pytest.raises(NodeFault) as caught:
                await node.judge(question())
        assert type(caught.value) is raised
        assert str(caught.value).startswith("n1: ")
        assert caught.value.__cause__ is None
        await eventually(lambda: server.engine.slots.busy == 0, within_s=5)


async def test_an_overloaded_node_says_when_to_come_again():
    async with reference_node(faults="status_503=1") as (_, url), http_node(url, model="m") as node:
        with pytest.raises(Overloaded) as caught:
            await node.judge(question())
    assert caught.value.retry_after_ms == 1_000


@pytest.mark.parametrize(
    ("sent", "raised"),
    [
        (b"", Unreachable),
        (b"\x00\xff garbage\r\n\r\n", Unreachable),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", Unreachable),
        (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n{", Unreachable),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", Unreachable),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 100_000 + b"\r\n", Unreachable),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", BadAnswer),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-type: a/b; charset=q\r\n\r\n\xff\xfe\xfd",
            BadAnswer,
        ),
        (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", Misconfigured),
    ],
)
async def test_nothing_that_comes_over_the_wire_raises_anything_else(sent, raised):
    async with streaming(sending(sent)) as url, http_node(url, model="m", timeout_ms=2_000) as node:
        with pytest.raises(NodeFault) as caught:
            await node.judge(question())
    assert type(caught.value) is raised


async def test_a_compressed_answer_that_nobody_asked_for_is_not_unpacked():
    bomb = web.Response(body=gzip.compress(b" " * (1 << 20)), headers={"Content-Encoding": "gzip"})
    async with serving(FakeEngine(bomb)) as url, http_node(url, model="m") as node:
        with pytest.raises(BadAnswer, match="compressed"):
            await node.judge(question())


async def test_an_answer_is_read_to_its_bound_and_no_further():
    at_bound = msgspec.json.encode(GOOD).ljust(RESPONSE_BYTES_MAX)
    async with serving(FakeEngine(web.Response(body=at_bound))) as url, http_node(url, model="m") as node:
        assert (await node.judge(question())).confidence == 0.9
    async with (
        serving(FakeEngine(web.Response(body=at_bound + b" "))) as url,
        http_node(url, model="m") as node,
    ):
        with pytest.raises(BadAnswer, match="more than"):
            await node.judge(question())


async def test_a_node_that_is_not_there_is_unreachable():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with http_node(f"http://127.0.0.1:{unused.getsockname()[1]}") as node:
            with pytest.raises(Unreachable) as caught:
                await node.judge(question())
            # So the question is not to blame.
            assert caught.value.was_sent is False
            with pytest.raises(Unreachable):
                await node.probe()


async def test_a_node_drips_its_answer_no_longer_than_the_bound():
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with streaming(drip) as url, http_node(url, model="m", timeout_ms=200) as node:
        with pytest.raises(TimedOut, match="within 200 ms"):
            await node.judge(question())


async def test_a_deadline_is_a_tighter_bound_than_the_nodes_own():
    clock = ManualClock()
    node = HttpNode(NodeSettings(url="http://127.0.0.1:1", timeout_ms=5_000), clock)
    clock.advance(100)
    with pytest.raises(TimedOut, match="the deadline had passed"):
        await node.judge(question(deadline_ms=100))
    await node.close()


# -- what is sent --------------------------------------------------------------------------------------


async def test_without_a_model_the_first_that_the_node_lists_is_asked_once_for_all():
    engine = FakeEngine()
    async with serving(engine) as url, http_node(url) as node:
        answers = [await node.judge(question()) for _ in range(3)]
    assert [answer.model for answer in answers] == ["first"] * 3
    assert [path for path, _, _ in engine.requests].count("/v1/models") == 1
    assert all(
        msgspec.json.decode(body)["model"] == "first" for path, _, body in engine.requests if "chat" in path
    )


async def test_who_was_out_and_is_back_with_another_model_answers_under_its_name():
    engine = FakeEngine()
    async with serving(engine) as url, http_node(url) as node:
        await node.judge(question())
        engine.models = ["other"]
        await node.probe()
        answer = await node.judge(question())
        assert (answer.model, answer.asked in node.asks) == ("other", True)
    assert msgspec.json.decode(engine.requests[-1][2])["model"] == "other"


async def test_the_token_the_trace_and_nothing_else_of_ours_go_along():
    engine = FakeEngine()
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    async with serving(engine) as url, http_node(url, model="m", token=Secret("s3cret")) as node:
        await node.judge(Question(Moderate(v=1, id="1", text="hi"), POLICY, traceparent=traceparent))
        await node.judge(question())
    traced, plain = [headers for _, headers, _ in engine.requests]
    lower = {name.lower(): value for name, value in traced.items()}
    assert lower["authorization"] == "Bearer s3cret"
    assert lower["traceparent"] == traceparent
    assert lower["accept-encoding"] == "identity"
    assert lower["content-type"] == "application/json"
    assert "traceparent" not in {name.lower() for name in plain}


async def test_one_connection_serves_questions_in_a_row():
    seen = set()

    class Remembering(FakeEngine):
        async def __call__(self, request: web.Request) -> web.StreamResponse:
            seen.add(request.transport.get_extra_info("peername"))
            return await super().__call__(request)

    async with serving(Remembering()) as url, http_node(url, model="m") as node:
        for _ in range(5):
            await node.judge(question())
    assert len(seen) == 1


async def test_a_base_address_may_have_a_path():
    engine = FakeEngine()
    async with serving(engine) as url, http_node(url + "/engines/", model="m") as node:
        await node.judge(question())
    assert engine.requests[0][0] == "/engines/v1/chat/completions"


async def test_neither_content_nor_token_reaches_a_log_or_an_error(caplog):
    caplog.set_level(logging.DEBUG)
    async with (
        reference_node(faults="status_500=1", token=Secret("s3cret")) as (_, url),
        http_node(url, model="m", token=Secret("s3cret")) as node,
    ):
        with pytest.raises(NodeFault) as caught:
            await node.judge(question("a very private post"))
        told = caplog.text + repr(node) + repr(caught.value)
    assert "private" not in told
    assert "s3cret" not in told
    assert "httpx" not in caplog.text


# -- probes, tokens, TLS -------------------------------------------------------------------------------


async def test_a_probe_of_a_loading_node_says_overloaded():
    async with reference_node(loading_ms=60_000) as (_, url), http_node(url) as node:
        with pytest.raises(Overloaded):
            await node.probe()


async def test_a_probe_finds_that_the_model_is_missing():
    async with serving(FakeEngine()) as url, http_node(url, kind="openai", model="third") as node:
        with pytest.raises(Misconfigured, match="third"):
            await node.probe()


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_a_wrong_token_is_a_matter_of_settings(token):
    async with (
        reference_node(token=Secret("s3cret")) as (_, url),
        http_node(url, token=Secret(token)) as node,
    ):
        with pytest.raises(Misconfigured, match="invalid_token"):
            await node.judge(question())


async def test_the_right_token_is_let_in():
    async with (
        reference_node(token=Secret("s3cret")) as (_, url),
        http_node(url, token=Secret("s3cret")) as node,
    ):
        assert (await node.judge(question())).labels


async def test_a_node_with_a_certificate_that_we_trust_is_asked_over_tls():
    cert, key = str(TLS / "cert.pem"), str(TLS / "key.pem")
    async with reference_node(ssl_cert_file=cert, ssl_key_file=key) as (_, url):
        assert url.startswith("https://")
        async with http_node(url, ssl_ca_file=cert) as node:
            assert (await node.judge(question())).labels
            await node.probe()
        async with http_node(url) as node:
            with pytest.raises(Misconfigured, match="ssl_ca_file"):
                await node.judge(question())


@pytest.mark.parametrize(
    "settings",
    [
        NodeSettings(url="https://127.0.0.1:1", ssl_ca_file="/nowhere/ca.pem"),
        NodeSettings(url="https://127.0.0.1:1", ssl_ca_file=__file__),
        NodeSettings(url="http://127.0.0.1:1", token=Secret("two\nlines")),
    ],
)
def test_settings_that_cannot_be_used_are_told_before_anything_is_asked(settings):
    with pytest.raises(Failure, match=r"127\.0\.0\.1-1") as caught:
        HttpNode(settings, SystemClock())
    assert caught.value.exit_code == ExitCode.USAGE
    assert "lines" not in caught.value.sentence


async def test_a_client_says_how_it_stands():
    async with http_node("http://127.0.0.1:1", slots=3) as node:
        assert repr(node) == "<HttpNode 127.0.0.1-1 penstock general by words 0/3 in flight>"
