"""The reference node's HTTP: OpenAI's chat completions, the list of models, /health and /metrics.

It reads a request, lets the engine serve it, and delivers the answer, with the faults that were asked for.
Every error is answered in the shape that OpenAI's clients read. A client that goes away cancels its
request.
"""

from __future__ import annotations

import asyncio
import hmac
import random
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web

from infra.errors import ExitCode, Failure
from infra.nodes.reference import chat
from infra.nodes.reference.chat import BadRequest
from infra.nodes.reference.engine import ReferenceEngine, Sleep, sleep_ms
from infra.nodes.reference.faults import (
    BadFault,
    Delay,
    Drop,
    Fault,
    Garble,
    Hang,
    Huge,
    Status,
    draw,
    parse_fault,
    parse_rates,
)
from infra.nodes.reference.figures import Figures
from schemas.settings import ReferenceNodeSettings
from streams.clock import SystemClock
from streams.ports import Clock

FAULT_HEADER = "x-penstock-fault"
RETRY_AFTER_S = 1
STOP_TIMEOUT_S = 0.5
"""What requests in flight get when the node stops; with the cancelling after it, it is gone within 2 s."""
CLIENT_GONE = 499
_BLANKS = b" " * 65_536

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ReferenceServer:
    """One running reference node."""

    def __init__(
        self, settings: ReferenceNodeSettings, *, clock: Clock | None = None, sleep: Sleep = sleep_ms
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._rates = _rates_of(settings)
        # Not for secrets: drawn from a seed, so that a run with faults can be had again.
        self._random = random.Random(settings.seed)  # noqa: S311
        self._served = 0
        self._loaded_at_ms = 0.0
        self._runner: web.AppRunner | None = None
        self.engine = ReferenceEngine(settings, sleep)
        self._figures = Figures(self.engine.slots)

    async def start(self) -> str:
        """Serve; returns the node's base address. A `Failure` where the port is taken."""
        self._loaded_at_ms = self._clock.now_ms() + self._settings.loading_ms
        tls = _tls_of(self._settings)
        self._runner = web.AppRunner(
            self._application(),
            handler_cancellation=True,
            shutdown_timeout=STOP_TIMEOUT_S,
            access_log=None,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.host, self._settings.port, ssl_context=tls)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise Failure(
                f"The node cannot listen at {self._settings.host}:{self._settings.port} ({error.strerror}); "
                "stop what is there, or choose another with --port.",
                exit_code=ExitCode.TAKEN,
            ) from None
        port = self._runner.addresses[0][1]
        return f"{'https' if tls else 'http'}://{_reachable(self._settings.host)}:{port}"

    async def stop(self) -> None:
        """Refuse what is new, cancel what is unfinished, and let go of the port."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _application(self) -> web.Application:
        app = web.Application(
            middlewares=[self._answer_errors], client_max_size=self._settings.body_bytes_max
        )
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
        return app

    # -- handlers --------------------------------------------------------------------------------------

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self._check_token(request)
        self._check_loaded()
        fault = self._fault_for(request)
        if isinstance(fault, Status):
            raise BadRequest("A fault that was asked for.", status=fault.status, code="fault")
        asked = chat.decode(await request.read())
        completion = await self.engine.complete(asked, fault)
        self._figures.count_completion(completion)
        self._served += 1
        at_s = self._clock.wall_ms() // 1_000
        return await _deliver(request, chat.encode(completion, asked, number=self._served, at_s=at_s), fault)

    async def _models(self, request: web.Request) -> web.Response:
        self._check_token(request)
        model = {"id": chat.MODEL, "object": "model", "created": 0, "owned_by": "penstock"}
        return web.json_response({"object": "list", "data": [model]})

    async def _health(self, _: web.Request) -> web.Response:
        self._check_loaded()
        return web.json_response({"status": "ok"})

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._figures.exposition(), content_type="text/plain", charset="utf-8")

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every refusal, ours or aiohttp's, as an error in OpenAI's shape; and each answer counted."""
        try:
            response = await handler(request)
        except BadRequest as refusal:
            response = _error(refusal.sentence, refusal.status, refusal.code)
        except web.HTTPException as refusal:
            response = _error(f"{refusal.reason}.", refusal.status, "http_error")
        except asyncio.CancelledError:
            self._figures.count_answer(CLIENT_GONE)
            raise
        self._figures.count_answer(response.status)
        return response

    # -- checks ----------------------------------------------------------------------------------------

    def _check_token(self, request: web.Request) -> None:
        expected = f"Bearer {self._settings.token.reveal()}".encode()
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if self._settings.token and not hmac.compare_digest(given, expected):
            raise BadRequest("The bearer token is missing or wrong.", status=401, code="invalid_token")

    def _check_loaded(self) -> None:
        if self._clock.now_ms() < self._loaded_at_ms:
            raise BadRequest("The node is still loading.", status=503, code="loading")

    def _fault_for(self, request: web.Request) -> Fault | None:
        asked = request.headers.get(FAULT_HEADER)
        if asked is None or not self._settings.fault_header:
            return draw(self._rates, self._random.random()) if self._rates else None
        try:
            return parse_fault(asked)
        except BadFault as error:
            raise BadRequest(f"{FAULT_HEADER}: {error}") from None


async def _deliver(request: web.Request, payload: bytes, fault: Fault | None) -> web.StreamResponse:
    match fault:
        case Drop(is_midway):
            return await _break_off(request, payload if is_midway else b"")
        case Huge(mib):
            return await _inflate(request, payload, mib << 20)
        case None | Delay() | Garble() | Hang() | Status():
            return web.Response(body=payload, content_type="application/json")


async def _break_off(request: web.Request, payload: bytes) -> web.StreamResponse:
    """Send the first half of a payload, if there is one, and break the connection."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    if payload:
        response.content_length = len(payload)
        await response.prepare(request)
        await response.write(payload[: len(payload) // 2])
    if request.transport is not None:
        # Closing sends what was written before it breaks; aborting could take it back.
        request.transport.close() if payload else request.transport.abort()
    # The loss of the connection cancels this handler; it has nothing to say until then.
    await asyncio.get_running_loop().create_future()
    return response


async def _inflate(request: web.Request, payload: bytes, blank_bytes: int) -> web.StreamResponse:
    """Send a payload with blanks behind it: JSON still, but more than anybody should read."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(payload)
    for _ in range(blank_bytes // len(_BLANKS)):
        await response.write(_BLANKS)
    await response.write_eof()
    return response


def _error(sentence: str, status: int, code: str) -> web.Response:
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status in {429, 503} else None
    body = chat.encode_error(sentence, status=status, code=code)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def _rates_of(settings: ReferenceNodeSettings) -> tuple[tuple[Fault, float], ...]:
    try:
        return parse_rates(settings.faults)
    except BadFault as error:
        raise Failure(f"settings: reference_node.faults: {error}", exit_code=ExitCode.USAGE) from None


def _tls_of(settings: ReferenceNodeSettings) -> ssl.SSLContext | None:
    if not settings.ssl_cert_file:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.ssl_cert_file, settings.ssl_key_file or None)
    except (OSError, ssl.SSLError) as error:
        raise Failure(
            "settings: reference_node.ssl_cert_file and ssl_key_file cannot be used "
            f"({error.strerror or error}).",
            exit_code=ExitCode.USAGE,
        ) from None
    return context


def _reachable(host: str) -> str:
    """The host as a client on this machine writes it: an address that means "all" is not one to call."""
    named = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a name
    return f"[{named}]" if ":" in named else named
