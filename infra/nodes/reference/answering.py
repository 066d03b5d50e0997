"""What the reference node says: the JSON that the request's schema demands, filled by the reference scorer.

It understands the schemas that `streams.core.answers` makes, knows them by their fields, and takes the labels
from their enumerations; any other schema is refused rather than filled with something. An answer is a row of
pieces, which stand for tokens; where there was a choice, a piece carries the probabilities it was chosen by.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, assert_never

import msgspec

from infra.nodes.reference.faults import Garbled
from streams.core.answers import FINDINGS_MAX, LABELS_MAX, NOT_DECODABLE, OUTCOMES, REASONS_MAX
from streams.core.appraising import ACCOUNT_SIGNS, SITE_SIGNS, analyze_user, check_health, review_ban
from streams.core.lexicon import EVIDENCE
from streams.core.weighing import (
    NO_LABEL,
    LabelLogit,
    first_label_distribution,
    mentioned,
    probability_of_none,
    score,
)

_TOKEN = re.compile(r"\w+|[^\w\s]+|\s+")
OWN_LABELS = tuple(EVIDENCE)
"""What a request without a schema is answered with: all that the lexicon knows."""


class SchemaNotUnderstood(Exception):
    """A schema that this node cannot fill honestly."""


class Piece(NamedTuple):
    """A token of the answer: its text, its log-probability, and those of what could have stood there."""

    text: str
    logprob: float = 0.0
    alternatives: Mapping[str, float] = {}


class Document(msgspec.Struct, frozen=True):
    """What is to be judged: the document that `streams.core.questions` makes of an event."""

    text: str = ""
    context: dict[str, str] = {}
    ground: str = ""
    evidence: list[str] = []
    posts: list[str] = []
    aggregates: dict[str, float] = {}
    samples: list[str] = []

    @property
    def whole_text(self) -> str:
        """The text, with what stands around it."""
        return "\n".join((self.text, *self.context.values()))


def document_in(content: str) -> Document:
    """The document in a user's message; a message that holds none is itself the text."""
    try:
        return msgspec.json.decode(content, type=Document)
    except NOT_DECODABLE:
        return Document(text=content)


def answer(schema: Mapping[str, Any] | None, document: Document) -> tuple[Piece, ...]:
    """The answer to a document, in the shape of a schema; without one, scores of all that is known."""
    if schema is None:
        return tuple(_labels(OWN_LABELS, document))
    properties = schema.get("properties")
    fields = frozenset(properties) if isinstance(properties, dict) else frozenset()
    match sorted(fields):
        case ["labels"] if "enum" in _at(schema, "labels", "items"):
            return tuple(_names(_without(_names_at(schema, "labels", "items"), (NO_LABEL,)), document))
        case ["labels"]:
            names = _names_at(schema, "labels", "items", "name")
            return tuple(_labels(_without(names, (NO_LABEL,)), document))
        case ["outcome", "percent"]:
            if set(_names_at(schema, "outcome")) != set(OUTCOMES):
                raise SchemaNotUnderstood("the outcomes must be " + ", ".join(OUTCOMES))
            return tuple(_review(document))
        case ["reasons", "risk_percent"]:
            return tuple(_account(_names_at(schema, "reasons", "items"), document))
        case ["findings", "percent"]:
            return tuple(_health(_names_at(schema, "findings", "items"), document))
        case _:
            raise SchemaNotUnderstood("it is none of the schemas that Penstock asks with")


def _labels(labels: Sequence[str], document: Document) -> Iterator[Piece]:
    scored = score(document.whole_text, labels)
    yield from fixed('{"labels":[{"name":"')
    for position, (label, piece) in enumerate(choices(scored)):
        if position:
            yield from fixed('},{"name":"')
        yield piece
        likelihood = probability_of_none(scored) if label.name == NO_LABEL else label.probability
        yield from fixed(f'","percent":{percent(likelihood)}')
    yield from fixed("}]}")


def _names(labels: Sequence[str], document: Document) -> Iterator[Piece]:
    yield from fixed('{"labels":["')
    for position, (_, piece) in enumerate(choices(score(document.whole_text, labels))):
        if position:
            yield from fixed('","')
        yield piece
    yield from fixed('"]}')


def choices(scored: Sequence[LabelLogit]) -> Iterator[tuple[LabelLogit, Piece]]:
    """The labels that are named, each with what else could have stood there."""
    distribution = first_label_distribution(scored)
    for label in mentioned(scored)[:LABELS_MAX] or (LabelLogit(NO_LABEL, 0.0),):
        yield label, _chosen(label.name, distribution)
        # What is named once is not named again, and `none` only ever stands alone.
        distribution = _renormalised(distribution, without={label.name, NO_LABEL})


def _review(document: Document) -> Iterator[Piece]:
    evidence = [text for text in document.evidence if text]
    distribution = review_ban(document.ground, evidence, OWN_LABELS)
    outcome = max(distribution, key=lambda name: distribution[name])
    yield from fixed('{"outcome":"')
    yield _chosen(outcome, distribution)
    yield from fixed(f'","percent":{percent(distribution[outcome])}}}')


def _account(names: Sequence[str], document: Document) -> Iterator[Piece]:
    account = analyze_user(document.posts or [document.text], _without(names, ACCOUNT_SIGNS))
    reasons = [reason for reason in account.reasons if reason in names][:REASONS_MAX]
    yield from fixed(f'{{"risk_percent":{percent(account.risk)},"reasons":{_list(reasons)}}}')


def _health(names: Sequence[str], document: Document) -> Iterator[Piece]:
    site = check_health(document.aggregates, document.samples, _without(names, SITE_SIGNS))
    findings = [finding for finding in site.findings if finding in names][:FINDINGS_MAX]
    yield from fixed(f'{{"percent":{percent(site.confidence)},"findings":{_list(findings)}}}')


def _names_at(schema: Mapping[str, Any], *path: str) -> list[str]:
    """The enumeration of names below these properties."""
    names = _at(schema, *path).get("enum")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise SchemaNotUnderstood(f"{'.'.join(path)} must be an enumeration of names")
    return names


def _at(schema: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    at: Any = schema
    for step in path:
        at = at.get(step) if step == "items" else (at.get("properties") or {}).get(step)
        if not isinstance(at, dict):
            raise SchemaNotUnderstood(f"there is no {'.'.join(path)}")
    return at  # type: ignore[no-any-return]


def _without(names: Sequence[str], codes: Sequence[str]) -> list[str]:
    return [name for name in names if name not in codes]


def fixed(text: str) -> Iterator[Piece]:
    """Tokens that the schema, or a figure already computed, leaves no choice about."""
    for token in _TOKEN.findall(text):
        yield Piece(token, 0.0, {token: 0.0})


def _chosen(name: str, distribution: Mapping[str, float]) -> Piece:
    """A name as one token, with the log-probabilities of all that could have stood there."""
    alternatives = {other: _log(probability) for other, probability in distribution.items()}
    return Piece(name, alternatives[name], alternatives)


def _renormalised(distribution: Mapping[str, float], *, without: set[str]) -> dict[str, float]:
    left = {name: probability for name, probability in distribution.items() if name not in without}
    total = math.fsum(left.values()) or 1.0
    return {name: probability / total for name, probability in left.items()}


def _log(probability: float) -> float:
    """JSON knows no infinity: what cannot be is as unlikely as the smallest double."""
    return math.log(max(probability, 5e-324))


def percent(probability: float) -> int:
    return round(100 * probability)


def _list(names: Sequence[str]) -> str:
    return msgspec.json.encode(names).decode()


def garbled(pieces: tuple[Piece, ...], how: Garbled) -> tuple[Piece, ...]:
    """The answer as an engine gives it that ignores its schema, or loses the end, or makes up a label."""
    match how:
        case "not_json":
            return tuple(fixed("Sure! Here is my judgement: it looks fine to me."))
        case "truncated":
            return pieces[: len(pieces) // 2]
        case "unknown_label":
            return tuple(fixed('{"labels":[{"name":"no_such_label","percent":50}]}'))
        case "missing_id" | "doubled_id" | "foreign_id" | "mixed_ids":
            # One post has no ids to lose.
            return pieces
        case _:
            assert_never(how)
