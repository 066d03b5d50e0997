"""Who may answer for copies, who may be answered so, and under which digests an answer is looked up.

How long an answer stands is `streams.core.reuse`; where it is kept, and who waits for one that is under way,
is not decided here. What becomes of a reused answer is `cache_verdict` in `streams.core.judging`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from hashlib import blake2b
from typing import get_args

import msgspec

from schemas.event import Event, Kind
from schemas.memory import Judged, Memo
from schemas.policy import Policy
from schemas.verdict import Verdict
from streams.core.answers import Wording, answer_schema, answer_tokens_max
from streams.core.digest import DIGEST_BYTES, Asked, question_digest
from streams.core.injection import is_suspect
from streams.core.judging import Case, Ruling
from streams.core.questions import system_prompt
from streams.core.reuse import reuse_ttl_s
from streams.core.rules import Document
from streams.core.scoring import LOW_MASS

PERSON = Asked(prompt=b"person", model="", output_schema=b"", output_tokens_max=0)
"""How a person is asked: there is no prompt whose change would make it another question."""

PREPARED_MAX = 256
"""Ten documents of five kinds, asked of five models."""


def may_share(event: Event, flags: Collection[str]) -> bool:
    """Whether an event may be answered from memory, wait for a copy's answer, or answer for copies.

    1. A site's health is of the moment: the same figures an hour later are news.
    2. A probe asks whether the whole way works.
    3. Who talks to the model must win each time anew: one success is not to stand for all copies.

    For everything else the digest holds every field that is shown to a judge.
    """
    return event.kind != "health_check" and not event.probe and not is_suspect(event, flags)


def memo_of(
    verdict: Verdict,
    ruling: Ruling,
    policy: Policy,
    *,
    question: str,
    asked_at_ms: int,
) -> Memo | None:
    """What to remember of a verdict; None: nothing. Whether its event may share an answer is `may_share`.

    Action and reasons are the ruling's, by the policy alone: what an order makes of them is of the day.
    `asked_at_ms` is the wall clock when the question left, so that an answer that was under way when an
    operator had answers forgotten is one of those.
    """
    ttl_s = reuse_ttl_s(policy, ruling.action, (label.name for label in ruling.labels))
    is_judged = verdict.status == "final" and verdict.decided_by in {"model", "person"}
    # Whoever gave much of its probability to what is no answer may answer otherwise the next time. So may one
    # who was shown a part of a text: which part, is drawn by lot each time, and a copy is to have its chance.
    is_certain = is_judged and LOW_MASS not in ruling.reasons and verdict.coverage >= 1
    if not is_certain or ruling.confidence < policy.reuse_confidence or not ttl_s:
        return None
    return Memo(
        v=1,
        question_digest=question,
        content_digest=verdict.content_digest,
        kind=verdict.kind,
        policy=verdict.policy,
        action=ruling.action,
        labels=ruling.labels,
        confidence=ruling.confidence,
        coverage=verdict.coverage,
        reasons=ruling.reasons,
        original=Judged(tenant=verdict.tenant, id=verdict.id, verdict_id=verdict.verdict_id),
        judged_at_ms=asked_at_ms,
        expires_at_ms=asked_at_ms + ttl_s * 1_000,
        model=verdict.model,
        result=ruling.result,
    )


def answers(memo: Memo, case: Case) -> bool:
    """Whether a memo is about this very content under this very document.

    The question's digest says so already; this holds a store to it, whatever happened to its files.
    """
    return (
        memo.content_digest == case.content_digest
        and memo.policy.digest == case.policy.digest
        and memo.kind == case.event.kind
    )


class Questions:
    """The digests of questions. How a model is asked is prepared once for each document, kind and model."""

    def __init__(self, secret: bytes, *, prepared_max: int = PREPARED_MAX) -> None:
        self._secret = secret
        self._prepared_max = prepared_max
        self._prepared: OrderedDict[tuple[str, Kind, str], Asked] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Questions {len(self._prepared)} prepared>"

    def to_look_up(
        self, content: str, document: Document, kind: Kind, models: Iterable[str]
    ) -> tuple[str, ...]:
        """Under which digests an answer may stand: a person's before those of the models, in their order."""
        return (
            self._digest(content, document, PERSON),
            *(self.digest(content, document, kind, model) for model in models),
        )

    def digest(self, content: str, document: Document, kind: Kind, model: str) -> str:
        """What was asked, where this model answered."""
        return self._digest(content, document, self._asked(document, kind, model))

    def by_person(self, content: str, document: Document) -> str:
        """What was asked, where a person answered."""
        return self._digest(content, document, PERSON)

    def _digest(self, content: str, document: Document, asked: Asked) -> str:
        return question_digest(content, document.ref.digest, asked, secret=self._secret)

    def _asked(self, document: Document, kind: Kind, model: str) -> Asked:
        key = (document.ref.digest, kind, model)
        asked = self._prepared.get(key)
        if asked is None:
            asked = self._prepared[key] = asked_of(document.policy, kind, model)
            if len(self._prepared) > self._prepared_max:
                self._prepared.popitem(last=False)
        return asked


def asked_of(policy: Policy, kind: Kind, model: str) -> Asked:
    """How `streams.core.questions` puts a question.

    Prompts and schemas by their hashes: they are kilobytes, and enter the digest of every question. Which of
    the wordings is used, `model` tells: it is `Node.asks`.
    """
    labels = tuple(label.name for label in policy.labels)
    prompts = [system_prompt(policy, kind, wording) for wording in get_args(Wording)]
    schemas = [answer_schema(kind, labels, wording) for wording in get_args(Wording)]
    return Asked(
        prompt=_hash(msgspec.json.encode(prompts)),
        model=model,
        output_schema=_hash(msgspec.json.encode(schemas)),
        output_tokens_max=answer_tokens_max(kind),
    )


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=DIGEST_BYTES).digest()
