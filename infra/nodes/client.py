"""The client of one inference node over HTTP: asks one question in one request.

httpx over aiohttp's connections, because httpx's own pool loses nine tenths of its throughput from 128
requests in flight. Errors of both end here, as `NodeFault`s. It neither retries nor chooses: that is for
whoever holds nodes.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from infra.errors import ExitCode, Failure
from infra.nodes.adapters import ADAPTERS, CHAT_PATH, MODELS_PATH
from infra.nodes.responses import answer_in, fault_in, models_in
from schemas.event import Kind
from schemas.policy import Policy
from schemas.settings import NodeSettings
from streams.core.questions import PromptTemplate, prompt_for
from streams.ports import Answer, BadAnswer, Clock, Misconfigured, NodeFault, Question, TimedOut, Unreachable

CONNECT_TIMEOUT_S = 1.0
"""A connection within a site takes milliseconds; a second allows for one lost packet and its repetition."""

PROBE_TIMEOUT_MS = 2_000.0

KEEP_ALIVE_S = 4.0
"""Less than the 5 s after which vLLM, SGLang and llama.cpp close an idle connection: we must be the
first, or a request meets a socket that is just being closed."""

SPARE_CONNECTIONS = 8
"""For probes, and for requests that were cancelled and whose sockets are still closing."""

RESPONSE_BYTES_MAX = 1 << 20
"""The longest answer that a schema of ours allows has 2 KiB; with log-probabilities some 40."""

ERROR_BYTES_MAX = 64 << 10
TEMPLATES_MAX = 64
"""Ten policies of five kinds, and some to spare while one is being replaced."""


class HttpNode:
    """One inference node, reached over HTTP."""

    def __init__(self, settings: NodeSettings, clock: Clock) -> None:
        self.name = settings.known_as
        self.slots = settings.slots
        self._settings = settings
        self._clock = clock
        self._adapter = ADAPTERS[settings.kind]
        self._model = settings.model
        self._templates: OrderedDict[tuple[int, Kind], tuple[Policy, PromptTemplate]] = OrderedDict()
        self._in_flight = 0
        base = settings.url.rstrip("/")
        # Parsed once: it is a tenth of what a request costs.
        self._chat_url = httpx.URL(base + CHAT_PATH)
        self._models_url = httpx.URL(base + MODELS_PATH)
        self._health_url = httpx.URL(base + self._adapter.health_path)
        self._headers = _headers(settings)
        self._client = _client(settings)

    def __repr__(self) -> str:
        return f"<HttpNode {self.name} {self._settings.kind} {self._in_flight}/{self.slots} in flight>"

    @property
    def model(self) -> str:
        """Which model is asked; empty as long as only the node knows."""
        return self._model

    async def judge(self, question: Question) -> Answer:
        """Ask; raises a `NodeFault`. Cancelling it closes the connection, and the node frees the slot."""
        self._in_flight += 1
        try:
            async with self._border(self._bound_ms(question)):
                return await self._ask(question)
        finally:
            self._in_flight -= 1

    async def probe(self) -> None:
        """Return if the node would take a question now; raises a `NodeFault`."""
        async with self._border(PROBE_TIMEOUT_MS):
            body = await self._exchange("GET", self._health_url)
            if self._adapter.health_path == MODELS_PATH and self._model:
                self._check_listed(models_in(body))
            elif not self._model:
                await self._first_model()

    async def close(self) -> None:
        """Give back connections."""
        await self._client.aclose()

    async def _ask(self, question: Question) -> Answer:
        model = self._model or await self._first_model()
        template = self._template(question.policy, question.event.kind, model)
        headers = {"traceparent": question.traceparent} if question.traceparent else {}
        body = await self._exchange("POST", self._chat_url, template.body(question.event), headers)
        return answer_in(body, template, model)

    async def _first_model(self) -> str:
        """The first that the node lists. Those who ask at once get the same one, without a lock."""
        models = models_in(await self._exchange("GET", self._models_url))
        if not models:
            raise Misconfigured("the node lists no model")
        self._model = models[0]
        return self._model

    def _check_listed(self, models: tuple[str, ...]) -> None:
        # Ollama lists `name:latest` for what it also answers to as `name`.
        if self._model not in models and f"{self._model}:latest" not in models:
            raise Misconfigured(f"the node does not list the model {self._model}")

    def _template(self, policy: Policy, kind: Kind, model: str) -> PromptTemplate:
        # By identity, since hashing a policy costs more than the request; the policy is kept beside its
        # template, so that the identity cannot pass to another.
        key = (id(policy), kind)
        known = self._templates.get(key)
        if known is None:
            known = (policy, prompt_for(policy, kind, model, self._adapter.dialect))
            self._templates[key] = known
            if len(self._templates) > TEMPLATES_MAX:
                self._templates.popitem(last=False)
        return known[1]

    def _bound_ms(self, question: Question) -> float:
        bound_ms = float(self._settings.timeout_ms)
        if question.deadline_ms is not None:
            bound_ms = min(bound_ms, question.deadline_ms - self._clock.now_ms())
        if bound_ms <= 0:
            raise TimedOut(f"{self.name}: not asked, the deadline had passed", was_sent=False)
        return bound_ms

    async def _exchange(
        self, method: str, url: httpx.URL, content: bytes = b"", headers: dict[str, str] | None = None
    ) -> bytes:
        """One request; the body of a 200. The border: nothing of httpx or aiohttp passes it."""
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
    async def _border(self, bound_ms: float) -> AsyncIterator[None]:
        """Bounds what is done within, and puts the node's name before whatever goes wrong."""
        try:
            async with asyncio.timeout(bound_ms / 1_000):
                yield
        except TimeoutError:
            raise TimedOut(f"{self.name}: no answer within {bound_ms:.0f} ms") from None
        except NodeFault as fault:
            detail = f"{self.name}: {fault.detail}"
            raise type(fault)(detail, retry_after_ms=fault.retry_after_ms) from None


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


def _client(settings: NodeSettings) -> httpx.AsyncClient:
    # httpx logs a line for each request at INFO, which costs more than the request's own bookkeeping.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    limits = httpx.Limits(max_connections=settings.slots + SPARE_CONNECTIONS, keepalive_expiry=KEEP_ALIVE_S)
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
