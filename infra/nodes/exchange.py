"""One request over HTTP and its body, or a `NodeFault`: the border that nothing of httpx or aiohttp passes.

httpx over aiohttp's connections, because httpx's own pool loses nine tenths of its throughput from 128
requests in flight. It knows nothing of engines, questions or answers.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from infra.errors import ExitCode, Failure
from infra.nodes.responses import fault_in
from schemas.settings import NodeSettings
from streams.ports import BadAnswer, Misconfigured, NodeFault, TimedOut, Unreachable

CONNECT_TIMEOUT_S = 1.0
"""A connection within a site takes milliseconds; a second allows for one lost packet and its repetition."""

SPARE_CONNECTIONS = 8
"""For probes, and for requests that were cancelled and whose sockets are still closing."""

RESPONSE_BYTES_MAX = 4 << 20
"""The longest answer that a schema of ours allows has 2 KiB; in pieces, each with its log-probabilities, a
token takes 2 KiB, and a model that thinks before it answers may write some thousand."""

ERROR_BYTES_MAX = 64 << 10


class Exchange:
    """The connections to one node."""

    def __init__(self, settings: NodeSettings, keep_alive_s: float) -> None:
        self._name = settings.known_as
        self._headers = _headers(settings)
        if not keep_alive_s:
            self._headers["connection"] = "close"
        self._client = _client(settings, keep_alive_s)

    def __repr__(self) -> str:
        return f"<Exchange {self._name}>"

    async def close(self) -> None:
        """Give back connections."""
        await self._client.aclose()

    async def get(self, url: httpx.URL) -> bytes:
        """The body of a 200."""
        return await self._exchange("GET", url)

    async def post(self, url: httpx.URL, content: bytes, headers: dict[str, str]) -> bytes:
        """The body of a 200."""
        return await self._exchange("POST", url, content, headers)

    async def _exchange(
        self, method: str, url: httpx.URL, content: bytes = b"", headers: dict[str, str] | None = None
    ) -> bytes:
        request = httpx.Request(
            method,
            url,
            headers={**self._headers, **(headers or {})},
            content=content,
            extensions={"timeout": {"connect": CONNECT_TIMEOUT_S}},
        )
        try:
            status, answered, body = await self._send(request)
        except (httpx.HTTPError, aiohttp.ClientError, OSError, ValueError) as error:
            raise _broken(error) from None
        if status != httpx.codes.OK:
            raise fault_in(status, answered, body)
        return body

    async def _send(self, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
        response = await self._client.send(request, stream=True)
        try:
            is_ok = response.status_code == httpx.codes.OK
            body = await _bounded(response, RESPONSE_BYTES_MAX if is_ok else ERROR_BYTES_MAX)
        finally:
            # Where the body was not read to its end, this closes the connection.
            await response.aclose()
        if is_ok and body is None:
            raise BadAnswer(f"a response of more than {RESPONSE_BYTES_MAX} bytes, or a compressed one")
        return response.status_code, response.headers, body or b""

    @asynccontextmanager
    async def border(self, bound_ms: float) -> AsyncIterator[None]:
        """Bounds what is done within, and puts the node's name before whatever goes wrong."""
        try:
            async with asyncio.timeout(bound_ms / 1_000):
                yield
        except TimeoutError:
            raise TimedOut(f"{self._name}: no answer within {bound_ms:.0f} ms") from None
        except NodeFault as fault:
            detail = f"{self._name}: {fault.detail}"
            raise type(fault)(detail, retry_after_ms=fault.retry_after_ms, was_sent=fault.was_sent) from None


async def _bounded(response: httpx.Response, bytes_max: int) -> bytes | None:
    """The body as it came over the wire, or None where it is longer than the bound or compressed unasked."""
    if response.headers.get("content-encoding", "identity") != "identity":
        return None
    chunks: list[bytes] = []
    length = 0
    async for chunk in response.aiter_raw():
        length += len(chunk)
        if length > bytes_max:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _broken(error: Exception) -> NodeFault:
    """What an exception of the HTTP client means; only its type is told, for its words may hold addresses."""
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        return Misconfigured("the node's certificate is not trusted; see ssl_ca_file")
    if isinstance(error, httpx.ReadTimeout):
        return TimedOut("the node fell silent")
    return Unreachable(
        f"no connection, or it broke ({type(cause or error).__name__})",
        was_sent=not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout),
    )


def _headers(settings: NodeSettings) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept": "application/json",
        # Answers are short; compressed ones would cost time, and room to be lied to about their size.
        "accept-encoding": "identity",
        "user-agent": "penstock",
    }
    token = settings.token.reveal()
    if not (token.isascii() and token.isprintable()):
        raise Failure(
            f"settings: nodes: the token of {settings.known_as} holds characters that no header may.",
            exit_code=ExitCode.USAGE,
        )
    if token:
        headers["authorization"] = f"Bearer {token}"
    return headers


def _client(settings: NodeSettings, keep_alive_s: float) -> httpx.AsyncClient:
    # httpx logs a line for each request at INFO, which costs more than the request's own bookkeeping.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    limits = httpx.Limits(max_connections=settings.slots + SPARE_CONNECTIONS, keepalive_expiry=keep_alive_s)
    transport = AiohttpTransport(verify=_tls(settings), trust_env=False, limits=limits)
    return httpx.AsyncClient(transport=transport, trust_env=False, follow_redirects=False)


def _tls(settings: NodeSettings) -> ssl.SSLContext:
    if not settings.url.startswith("https"):
        # Never used; made empty, because reading the system's authorities takes 10 ms.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return ssl.create_default_context(cafile=settings.ssl_ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise Failure(
            f"settings: nodes: ssl_ca_file of {settings.known_as} cannot be used "
            f"({error.strerror or error}).",
            exit_code=ExitCode.USAGE,
        ) from None
