"""The client of one inference node over HTTP: what is asked, in which way, and what the answer says.

How it is put on the wire and what may go wrong there is `exchange`; what each engine needs `engines`; how
models are asked and read `streams.core.formats`. It neither retries nor chooses nodes: that is for whoever
holds them.
"""

from __future__ import annotations

import logging
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import httpx

from infra.nodes.engines.engine import DECISIONS_PATH, MODELS_PATH
from infra.nodes.engines.loads import load_in, slots_in
from infra.nodes.engines.table import ENGINES
from infra.nodes.engines.wires import decisions_in, reply_in
from infra.nodes.exchange import Exchange
from infra.nodes.packs import PackedRequests
from infra.nodes.responses import answer_of, judgement_in, models_in, packed_answer_of
from infra.nodes.ways import Way, ways_of
from schemas.event import PRIORITIES, Event, Kind, Priority, texts_of
from schemas.policy import Policy
from schemas.settings import NodeSettings
from streams.core.answers import Judgement
from streams.core.formats import decisions, general
from streams.core.formats.asking import Asking, UnsuitedKind
from streams.core.formats.table import FORMATS
from streams.core.pacing import EngineLoad
from streams.core.replies import Reply
from streams.core.windows import BYTES_PER_TOKEN, ENVELOPE_TOKENS, Views, views_of, window_bytes, worst_of
from streams.ports import (
    Answer,
    Clock,
    Misconfigured,
    PackedAnswer,
    PackedQuestion,
    Question,
    Refused,
    TimedOut,
)

_log = logging.getLogger(__name__)
_chance = secrets.SystemRandom()

PROBE_TIMEOUT_MS = 2_000.0

TEMPLATES_MAX = 64
"""Ten policies of five kinds, and some to spare while one is being replaced."""

NARROWINGS_MAX = 3
"""Three halvings: an eighth of what we had reckoned, for texts whose tokens are as short as a byte each."""

NARROWED_FROM_BYTES = 2_048
"""A shorter text was not refused for its length."""


class _Unmeasured(Exception):
    """Log-probabilities were asked for, and none came: some endpoints pass over what they do not know."""


class HttpNode:
    """One inference node, reached over HTTP."""

    def __init__(self, settings: NodeSettings, clock: Clock) -> None:
        self.name = settings.known_as
        self.slots = settings.slots
        self._model = settings.model
        self._settings = settings
        self._clock = clock
        self._engine = ENGINES[settings.kind]
        self._ways = ways_of(settings)
        # Words are understood by all, and the last way to ask.
        self._in_words = self._ways[-1]
        self._packed = PackedRequests(settings, self._in_words.dialect)
        self._is_proven = False
        self._askings: OrderedDict[tuple[int, Kind, str], tuple[Policy, Asking]] = OrderedDict()
        self._in_flight = 0
        base = settings.url.rstrip("/")
        # Parsed once: it is a tenth of what a request costs.
        self._chat_url = httpx.URL(base + self._engine.chat_path)
        self._decisions_url = httpx.URL(base + DECISIONS_PATH)
        self._models_url = httpx.URL(base + MODELS_PATH)
        self._health_url = httpx.URL(base + self._engine.health_path)
        self._metrics_url = httpx.URL(base + self._engine.metrics_path)
        self._slots_url = httpx.URL(base + self._engine.slots_path)
        self._exchange = Exchange(settings, self._engine.keep_alive_s)

    def __repr__(self) -> str:
        kind = f"{self._settings.kind} {self._settings.format} by {self._ways[0].name}"
        return f"<HttpNode {self.name} {kind} {self._in_flight}/{self.slots} in flight>"

    @property
    def model(self) -> str:
        """Which model is asked; empty as long as only the node knows."""
        return self._model

    @property
    def asks(self) -> tuple[str, ...]:
        """The model, in which format, and how one may come by its scores; the best way first."""
        # What is said about a pack is said in words, however single posts are asked about.
        ways = (*self._ways, self._in_words) if self._settings.takes_packs else self._ways
        return tuple(dict.fromkeys(self._asked_by(way) for way in ways)) if self.model else ()

    async def judge(self, question: Question) -> Answer:
        """Ask; raises a `NodeFault`. Cancelling it closes the connection, and the node frees the slot."""
        self._in_flight += 1
        try:
            async with self._exchange.border(self._bound_ms(question)):
                return await self._ask(question)
        finally:
            self._in_flight -= 1

    async def judge_pack(self, question: PackedQuestion) -> PackedAnswer:
        """Ask about several posts at once; raises a `NodeFault`. Cancelling it is as for one."""
        self._in_flight += 1
        try:
            async with self._exchange.border(self._bound_ms(question)):
                model = self.model or await self._first_model()
                template, body = self._packed.of(question, model)
                reply = await self._chat(body, question)
                asked = self._asked_by(self._in_words)
                return packed_answer_of(question.pack, template, reply, model, asked=asked)
        finally:
            self._in_flight -= 1

    async def probe(self) -> None:
        """Return if the node would take a question now; raises a `NodeFault`. After it, `model` is known."""
        async with self._exchange.border(PROBE_TIMEOUT_MS):
            body = await self._exchange.get(self._health_url)
            if not self._settings.model:
                # Who was out may be back with another one, which may have to be asked otherwise.
                await self._first_model()
            elif self._engine.health_path == MODELS_PATH:
                self._check_listed(models_in(body))

    async def load(self) -> EngineLoad | None:
        """What the engine says of its load, None where it says nothing; raises a `NodeFault`."""
        if self._engine.gauges is None:
            return None
        async with self._exchange.border(PROBE_TIMEOUT_MS):
            text = await self._exchange.get(self._metrics_url)
            slots = slots_in(await self._exchange.get(self._slots_url)) if self._engine.slots_path else None
            return load_in(text, self._engine.gauges, slots)

    async def close(self) -> None:
        """Give back connections."""
        await self._exchange.close()

    # -- asking ---------------------------------------------------------------------------------------------

    async def _ask(self, question: Question) -> Answer:
        """In the best way that the node knows; which that is shows with its first answer."""
        refused: Refused | Misconfigured | None = None
        for way in self._ways:
            try:
                answer = await self._ask_so(question, way)
            except _Unmeasured:
                continue
            except (Refused, Misconfigured) as fault:
                if self._is_proven:
                    raise
                refused = refused or fault
            else:
                return replace(answer, asked=self._asked_by(way))
        raise refused or Misconfigured("no way to ask it")

    async def _ask_so(self, question: Question, way: Way) -> Answer:
        model = self.model or await self._first_model()
        asking = self._asking(question.policy, question.event.kind, model, way)
        room = self._room_for(asking)
        refused = Refused("longer than a slot's context, however it is cut")
        for narrowing in range(NARROWINGS_MAX + 1):
            views = views_of(question.event, room >> narrowing, _chance.random())
            if self._engine.cuts_unsaid and not _is_within(room, views, asking):
                continue
            try:
                return await self._ask_about(views, asking, question, way)
            except Refused as fault:
                if _size_of(question.event) < NARROWED_FROM_BYTES:
                    raise
                refused = fault
        raise refused

    async def _ask_about(self, views: Views, asking: Asking, question: Question, way: Way) -> Answer:
        """About each window in turn, since a question has one slot; the worst answer is that of the whole."""
        replies: list[Reply] = []
        judgements: list[Judgement] = []
        for event in views.events:
            told = [await self._send(body, asking, question) for body in asking.build(event)]
            self._check_measured(told, way)
            judgements.append(judgement_in(asking, told))
            replies += told
        # What is no post is asked in a chat, whatever the way: that says nothing of the other endpoint.
        if asking.endpoint == "decisions" or way.name != "decisions":
            self._settle_on(way)
        return answer_of(worst_of(judgements), replies, self.model, coverage=views.coverage)

    async def _send(self, body: bytes, asking: Asking, question: Question) -> Reply:
        if asking.endpoint == "decisions" and self._engine.decisions:
            made = await self._exchange.post(self._decisions_url, body, _headers(question))
            return decisions_in(made, self._engine.decisions)
        return await self._chat(body, question)

    async def _chat(self, body: bytes, question: Question | PackedQuestion) -> Reply:
        body = self._prioritised(body, question.priority)
        made = await self._exchange.post(self._chat_url, body, _headers(question))
        return reply_in(made, self._engine.dialect.wire)

    def _room_for(self, asking: Asking) -> int:
        """The bytes of content that fit a slot; of one that cuts, for sure: no token is less than a byte."""
        bytes_per_token = 1 if self._engine.cuts_unsaid else BYTES_PER_TOKEN
        return window_bytes(
            self._settings.context_tokens, asking.overhead_bytes, asking.output_tokens_max, bytes_per_token
        )

    def _check_measured(self, told: Sequence[Reply], way: Way) -> None:
        """Before a node is known: whether it tells what this way asks for."""
        if way.name == "logprobs" and not self._is_proven and not any(reply.tokens for reply in told):
            raise _Unmeasured

    def _prioritised(self, body: bytes, priority: Priority | None) -> bytes:
        """The request with its priority, in the engine's direction, behind all that is cached."""
        if priority is None or self._engine.urgent_first is None or not self._settings.engine_priority:
            return body
        rank = PRIORITIES.index(priority)
        figure = rank if self._engine.urgent_first == "lowest" else len(PRIORITIES) - 1 - rank
        return b'%b,"priority":%d}' % (body[:-1], figure)

    async def _first_model(self) -> str:
        """The first that the node lists. Those who ask at once get the same one, without a lock."""
        models = models_in(await self._exchange.get(self._models_url))
        if not models:
            raise Misconfigured("the node lists no model")
        if models[0] != self._model:
            self._model = models[0]
            self._ways, self._is_proven = ways_of(self._settings), False
            self._askings.clear()
        return self._model

    def _check_listed(self, models: tuple[str, ...]) -> None:
        # Ollama lists `name:latest` for what it also answers to as `name`.
        if self.model not in models and f"{self.model}:latest" not in models:
            raise Misconfigured(f"the node does not list the model {self.model}")

    def _asked_by(self, way: Way) -> str:
        return f"{self.model} {self._settings.format} {way.name}"

    def _settle_on(self, way: Way) -> None:
        if self._is_proven:
            return
        self._is_proven = True
        if way is not self._ways[0]:
            _log.warning("node %s knows no %s: scores come by %s", self.name, self._ways[0].name, way.name)
        self._ways = (way,)

    def _asking(self, policy: Policy, kind: Kind, model: str, way: Way) -> Asking:
        # By identity, since hashing a policy costs more than the request; the policy is kept beside what was
        # made of it, so that the identity cannot pass to another.
        key = (id(policy), kind, way.name)
        known = self._askings.get(key)
        if known is None:
            known = (policy, self._prepared(policy, kind, model, way))
            self._askings[key] = known
            if len(self._askings) > TEMPLATES_MAX:
                self._askings.popitem(last=False)
        return known[1]

    def _prepared(self, policy: Policy, kind: Kind, model: str, way: Way) -> Asking:
        try:
            if way.name == "decisions" and self._engine.decisions:
                return decisions.asking(policy, kind, model, self._engine.decisions)
            return FORMATS[self._settings.format](policy, kind, model, way.dialect)
        except UnsuitedKind:
            if self._settings.format != "general":
                raise Refused(f"the format {self._settings.format} judges posts only, not {kind}") from None
            return general.asking(policy, kind, model, way.dialect)

    def _bound_ms(self, question: Question | PackedQuestion) -> float:
        bound_ms = float(self._settings.timeout_ms)
        if question.deadline_ms is not None:
            bound_ms = min(bound_ms, question.deadline_ms - self._clock.now_ms())
        if bound_ms <= 0:
            raise TimedOut(f"{self.name}: not asked, the deadline had passed", was_sent=False)
        return bound_ms


def _headers(question: Question | PackedQuestion) -> dict[str, str]:
    return {"traceparent": question.traceparent} if question.traceparent else {}


def _is_within(room: int, views: Views, asking: Asking) -> bool:
    """Whether each window, written as it is sent, with its escapes and its envelope, has room."""
    return all(len(asking.show(event).encode()) <= room + ENVELOPE_TOKENS // 2 for event in views.events)


def _size_of(event: Event) -> int:
    return sum(len(text.encode()) for _, text in texts_of(event))
