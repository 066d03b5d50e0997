"""The worker's own small HTTP server: `/metrics`, `/live`, `/ready`, `/status`.

All four read one `WorkerStatus`, made when somebody asks: nothing is counted here, and nothing is kept
between requests. It binds loopback unless told otherwise, takes GET and HEAD only, and shows no content of
events.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import msgspec
from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from infra.errors import ExitCode, Failure
from infra.metrics import exposition
from streams.observing import WorkerStatus

# Long enough for a scrape that is being answered, short beside the worker's own stop.
_SHUTDOWN_TIMEOUT_S = 0.5
# Nothing that is asked here has a body.
_BODY_BYTES_MAX = 1_024
_BIND_REFUSALS: Mapping[int, str] = MappingProxyType(
    {
        errno.EADDRINUSE: "it is taken",
        errno.EACCES: "this user may not bind it",
        errno.EADDRNOTAVAIL: "this machine has no such address",
    }
)
_encode = msgspec.json.Encoder(enc_hook=str).encode


class WorkerHttp:
    """Serves what `status` says. Start it once the worker can say something; stop it last."""

    def __init__(self, host: str, port: int, status: Callable[[], WorkerStatus]) -> None:
        self._host = host
        self._port = port
        self._status = status
        self._runner: web.AppRunner | None = None
        self.url = ""
        """Where it listens, once it does: with the port that was found, where any free one was asked for."""

    def __repr__(self) -> str:
        return f"<WorkerHttp {self.url or 'stopped'}>"

    async def start(self) -> str:
        """Listen; the address. A port that cannot be had is a `Failure`."""
        app = web.Application(middlewares=[_plainly], client_max_size=_BODY_BYTES_MAX)
        app.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/live", self._live),
                web.get("/ready", self._ready),
                web.get("/status", self._show),
            ]
        )
        # No access log: a probe every second would be most of what a worker says.
        runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_TIMEOUT_S
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError as error:
            await runner.cleanup()
            raise self._refused(error) from error
        self._runner = runner
        port = runner.addresses[0][1]
        self.url = f"http://{_in_url(self._host)}:{port}"
        return self.url

    async def stop(self) -> None:
        """Listen no more; called again, do nothing."""
        runner, self._runner, self.url = self._runner, None, ""
        if runner is not None:
            await runner.cleanup()

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=exposition(self._status()), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _live(self, _request: web.Request) -> web.Response:
        """The event loop turns, or nobody would answer."""
        return web.Response(text="live\n")

    async def _ready(self, _request: web.Request) -> web.Response:
        status = self._status()
        if status.ready:
            return web.Response(text="ready\n")
        return web.Response(status=503, text=f"not ready: {status.waits_for or 'starting'}\n")

    async def _show(self, _request: web.Request) -> web.Response:
        return web.Response(body=_encode(self._status()), content_type="application/json")

    def _refused(self, error: OSError) -> Failure:
        if isinstance(error, socket.gaierror):
            reason = "no such name is known"
        else:
            # From Python 3.13 the event loop tries all addresses of a name, and says no number where none is
            # this machine's.
            reason = _BIND_REFUSALS.get(error.errno or errno.EADDRNOTAVAIL, error.strerror or "it is refused")
        return Failure(
            f"The worker's HTTP server cannot listen on {self._host}:{self._port}: {reason}. "
            "Free it, or set http.port (0: any free one) and http.host.",
            exit_code=ExitCode.TAKEN,
        )


@web.middleware
async def _plainly(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """What is not served is said in a line, and nothing about us is told beyond what was asked."""
    try:
        response = await handler(request)
    except web.HTTPException as refusal:
        response = web.Response(
            status=refusal.status,
            text=f"{refusal.status} {refusal.reason}: there are /metrics, /live, /ready and /status\n",
        )
        if "Allow" in refusal.headers:
            response.headers["Allow"] = refusal.headers["Allow"]
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Server"] = "penstock"
    return response


def _in_url(host: str) -> str:
    """An IPv6 address wants brackets; who asks for all addresses is told the one that always works."""
    if host in {"", "0.0.0.0"}:  # noqa: S104 - compared with, not bound.
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host
