"""A real llama.cpp server in this process, for `penstock node --gguf FILE`: a model, GPU or none.

`xllamacpp` (the extra `llama`) brings llama.cpp's own HTTP server with its continuous batching, slots, prompt
cache and metrics; here it only gets its settings. It is stopped by letting go of it, which waits for its
slots.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from infra.errors import ExitCode, Failure
from schemas.settings import ReferenceNodeSettings

CONTEXT_TOKENS = 8_192
"""Of each slot: the default policy's prompt is some 900 tokens, a post of 16 KiB some 4,000."""

PROMPT_CACHE_MIB = 256
"""Prompts kept beside those in the slots; llama.cpp's own default is 8 GiB, more than small machines have."""

MAGIC = b"GGUF"

_SILENT = -1


class LlamaServer:
    """llama.cpp's server for one model file."""

    def __init__(
        self, model: Path, settings: ReferenceNodeSettings, context_tokens: int, threads: int | None = None
    ) -> None:
        _check(model, settings)
        self._model = model
        self._settings = settings
        self._context_tokens = context_tokens
        self._threads = threads
        self._running: Any = None

    def __repr__(self) -> str:
        state = "serving" if self._running else "down"
        return f"<LlamaServer {self._model.name} {self._settings.slots} slots {state}>"

    async def start(self) -> str:
        """Load the model and serve; the address."""
        # Loading takes as long as the file is big, and holds its thread for all of it.
        self._running = await asyncio.to_thread(self._load)
        return str(self._running.listening_address)

    async def stop(self) -> None:
        """Let go of the server; what is in its slots is cut off."""
        running, self._running = self._running, None
        await asyncio.to_thread(_let_go, [running])

    def _load(self) -> Any:
        llama = _library()
        parameters = _parameters(llama, self._model, self._settings, self._context_tokens)
        if self._threads is not None:
            parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = self._threads
        try:
            return llama.Server(parameters)
        except RuntimeError:
            # Its words say nothing, and what it logs is turned off, since it logs prompts as well.
            raise Failure(
                f"llama.cpp cannot serve {self._model} at {self._settings.host}:{self._settings.port}: it "
                "does not know such a model, its memory does not suffice, or the port is taken.",
                exit_code=ExitCode.TAKEN,
            ) from None


def _check(model: Path, settings: ReferenceNodeSettings) -> None:
    if settings.ssl_cert_file:
        raise Failure(
            "settings: reference_node.ssl_cert_file: llama.cpp's server comes without TLS; put a proxy "
            "before it, or leave the address on loopback.",
            exit_code=ExitCode.USAGE,
        )
    try:
        with model.open("rb") as file:
            is_gguf = file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise Failure(f"{model} cannot be read ({error.strerror}).", exit_code=ExitCode.USAGE) from None
    if not is_gguf:
        raise Failure(f"{model} is no GGUF file.", exit_code=ExitCode.USAGE)


def _let_go(held: list[Any]) -> None:
    """Drop the last reference here, in a thread: the server joins its own threads when it goes."""
    held.clear()


def _library() -> Any:
    try:
        import xllamacpp  # noqa: PLC0415  An extra: without it everything else works.
    except ImportError:
        raise Failure(
            "`--gguf` needs llama.cpp: install Penstock with its extra, `pip install 'penstock[llama]'`.",
            exit_code=ExitCode.USAGE,
        ) from None
    return xllamacpp


def _parameters(llama: Any, model: Path, settings: ReferenceNodeSettings, context_tokens: int) -> Any:
    parameters = llama.CommonParams()
    parameters.model.path = str(model)
    parameters.model_alias = {model.stem}
    parameters.hostnames = [settings.host]
    parameters.port = settings.port
    parameters.n_parallel = settings.slots
    # llama.cpp divides it among the slots.
    parameters.n_ctx = context_tokens * settings.slots
    parameters.cache_ram_mib = PROMPT_CACHE_MIB
    parameters.endpoint_metrics = True
    parameters.endpoint_slots = True
    parameters.ui = False
    parameters.verbosity = _SILENT
    if token := settings.token.reveal():
        parameters.api_keys = [token]
    return parameters
