"""Requests about several posts to one node: prepared for its policies, and never longer than its context."""

from __future__ import annotations

from functools import partial

from infra.nodes.engines.table import ENGINES
from infra.nodes.templates import Templates
from schemas.settings import NodeSettings
from streams.core.packed_questions import PackedTemplate, packed_prompt_for
from streams.core.packing import pack_tokens_max, shown
from streams.core.requests import Dialect
from streams.core.windows import BYTES_PER_TOKEN, window_bytes
from streams.ports import PackedQuestion, Refused


class PackedRequests:
    """Those to one node."""

    def __init__(self, settings: NodeSettings, dialect: Dialect) -> None:
        self._context_tokens = settings.context_tokens
        # What cuts a prompt without a word would cut the last posts; then no token may be taken for longer
        # than a byte.
        self._bytes_per_token = 1 if ENGINES[settings.kind].cuts_unsaid else BYTES_PER_TOKEN
        self._templates = Templates(partial(packed_prompt_for, dialect=dialect))

    def __repr__(self) -> str:
        return f"<PackedRequests {len(self._templates)} prepared>"

    def of(self, question: PackedQuestion, model: str) -> tuple[PackedTemplate, bytes]:
        """The request, and what its answer is read by; `Refused` where it is longer than a slot's context."""
        template = self._templates.of(question.policy, question.kind, model)
        room = window_bytes(
            self._context_tokens,
            len(template.system.encode()),
            pack_tokens_max(len(question.pack.slots)),
            self._bytes_per_token,
        )
        if len(shown(question.pack).encode()) > room:
            raise Refused("a pack that is longer than a slot's context")
        return template, template.body(question.pack)
