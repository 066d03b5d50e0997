"""How a node is to answer, and how its answer is read: for each kind of event a JSON Schema and a parser.

The schema is sent with the question. Whatever a node promises about schemas, its answer is checked here
again: this module trusts no engine. What is asked stands in `streams.core.questions`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple, TypeVar, assert_never

import msgspec

from schemas.event import Kind
from schemas.verdict import Result, ScoredLabel
from streams.core.appraising import ACCOUNT_SIGNS, SITE_SIGNS
from streams.core.weighing import NO_LABEL

Schema = dict[str, Any]
Wording = Literal["percents", "names"]
"""Whether an answer about a post says how likely each label is; where an engine tells the probabilities of
what it writes, names are enough, and the probabilities are better."""

AnswerCode = Literal["cut_off", "not_json", "wrong_shape", "unknown_name", "repeated_name", "out_of_range"]
OUTCOMES: tuple[Literal["uphold", "overturn", "unclear"], ...] = ("uphold", "overturn", "unclear")

LABELS_MAX = 4
"""Four harms in one post are rare, a fifth changes no action, and each costs a tenth of a second to write."""
REASONS_MAX = 6
FINDINGS_MAX = 8
NAME_TOKENS_MAX = 16
"""A name of 64 characters, the longest that a policy may give."""
ITEM_TOKENS = 10
"""Braces, quotes, the two keys, the figure and the comma around one name."""
SEPARATOR_TOKENS = 3
"""Quotes and comma around a name alone."""
ENVELOPE_TOKENS = 16

POSTS: frozenset[Kind] = frozenset({"moderate", "scan"})
"""The kinds of event that are one post: their answer is labels."""
NOT_DECODABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What bytes of others raise that are not the JSON they should be."""

_PERCENT: Schema = {"type": "integer", "minimum": 0, "maximum": 100}
S = TypeVar("S")


class UnusableAnswer(Exception):
    """An answer that is not what was asked for. The code says in which way; what it said is never quoted."""

    def __init__(self, code: AnswerCode, detail: str) -> None:
        super().__init__(detail)
        self.code: AnswerCode = code


class Judgement(NamedTuple):
    """An answer, checked, in the words of the verdict."""

    labels: tuple[ScoredLabel, ...]
    confidence: float
    result: Result | None = None
    mass: float = 1.0
    """The probability that the model gave to valid answers, where its engine tells."""


def answer_schema(kind: Kind, labels: tuple[str, ...], wording: Wording = "percents") -> Schema:
    """The JSON Schema of an answer. Figures are whole percents: one token each, for any engine."""
    names = names_offered(kind, labels)
    match kind:
        case "moderate" | "scan":
            if wording == "names":
                return _object({"labels": {**_name_list(names, LABELS_MAX), "minItems": 1}})
            item = _object({"name": {"type": "string", "enum": names}, "percent": _PERCENT})
            return _object(
                {"labels": {"type": "array", "items": item, "minItems": 1, "maxItems": LABELS_MAX}}
            )
        case "review_ban":
            return _object({"outcome": {"type": "string", "enum": names}, "percent": _PERCENT})
        case "analyze_user":
            return _object({"risk_percent": _PERCENT, "reasons": _name_list(names, REASONS_MAX)})
        case "health_check":
            return _object({"percent": _PERCENT, "findings": _name_list(names, FINDINGS_MAX)})
        case _:
            assert_never(kind)


def answer_tokens_max(kind: Kind, wording: Wording = "percents") -> int:
    """Room for the longest answer that the schema allows, and no more."""
    if wording == "names" and kind in POSTS:
        return ENVELOPE_TOKENS + LABELS_MAX * (NAME_TOKENS_MAX + SEPARATOR_TOKENS)
    items = {
        "moderate": LABELS_MAX,
        "scan": LABELS_MAX,
        "review_ban": 1,
        "analyze_user": REASONS_MAX,
        "health_check": FINDINGS_MAX,
    }[kind]
    return ENVELOPE_TOKENS + items * (NAME_TOKENS_MAX + ITEM_TOKENS)


def parse_answer(kind: Kind, names: Collection[str], content: str) -> Judgement:
    """A node's answer as a judgement, or `UnusableAnswer`; `names` are those that were offered."""
    match kind:
        case "moderate" | "scan":
            return _parse_labels(content, names)
        case "review_ban":
            return _parse_review(content, names)
        case "analyze_user":
            return _parse_account(content, names)
        case "health_check":
            return _parse_health(content, names)
        case _:
            assert_never(kind)


def parse_names(names: Collection[str], content: str) -> tuple[str, ...]:
    """The labels that an answer of names alone holds, none for `none`; or `UnusableAnswer`."""
    said = _decoded(content, _Names).labels
    _check_names(said, names, LABELS_MAX)
    if not said:
        raise UnusableAnswer("wrong_shape", "no label, and no `none` either")
    if NO_LABEL in said and len(said) > 1:
        raise UnusableAnswer("wrong_shape", "`none` beside other labels")
    return () if said == [NO_LABEL] else tuple(said)


def names_offered(kind: Kind, labels: tuple[str, ...]) -> list[str]:
    """What an answer may name: the policy's labels, and for some kinds further codes."""
    match kind:
        case "moderate" | "scan":
            return [*labels, NO_LABEL]
        case "review_ban":
            return list(OUTCOMES)
        case "analyze_user":
            return [*labels, *(sign for sign in ACCOUNT_SIGNS if sign not in labels)]
        case "health_check":
            return [*labels, *(sign for sign in SITE_SIGNS if sign not in labels)]
        case _:
            assert_never(kind)


class _Named(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    percent: int


class _Labels(msgspec.Struct, forbid_unknown_fields=True):
    labels: list[_Named]


class _Names(msgspec.Struct, forbid_unknown_fields=True):
    labels: list[str]


class _Review(msgspec.Struct, forbid_unknown_fields=True):
    outcome: str
    percent: int


class _Account(msgspec.Struct, forbid_unknown_fields=True):
    risk_percent: int
    reasons: list[str]


class _Health(msgspec.Struct, forbid_unknown_fields=True):
    percent: int
    findings: list[str]


def _parse_labels(content: str, names: Collection[str]) -> Judgement:
    said = _decoded(content, _Labels).labels
    return judgement_of([(item.name, item.percent) for item in said], names)


def judgement_of(said: Sequence[tuple[str, int]], names: Collection[str]) -> Judgement:
    """The labels that were named for one post, with their percentages, as a judgement."""
    _check_names([name for name, _ in said], names, LABELS_MAX)
    scores = {name: _fraction(percent) for name, percent in said}
    if not scores:
        raise UnusableAnswer("wrong_shape", "no label, and no `none` either")
    if NO_LABEL in scores:
        if len(scores) > 1:
            raise UnusableAnswer("wrong_shape", "`none` beside other labels")
        return Judgement((), scores[NO_LABEL])
    labels = tuple(ScoredLabel(name=name, score=score) for name, score in scores.items())
    return Judgement(by_score(labels), certainty(max(scores.values())))


def _parse_review(content: str, names: Collection[str]) -> Judgement:
    said = _decoded(content, _Review)
    _check_names([said.outcome], names, 1)
    outcome = next(known for known in OUTCOMES if known == said.outcome)
    return Judgement((), _fraction(said.percent), Result(outcome=outcome))


def _parse_account(content: str, names: Collection[str]) -> Judgement:
    said = _decoded(content, _Account)
    _check_names(said.reasons, names, REASONS_MAX)
    risk = _fraction(said.risk_percent)
    return Judgement((), certainty(risk), Result(risk=risk, findings=tuple(said.reasons)))


def _parse_health(content: str, names: Collection[str]) -> Judgement:
    said = _decoded(content, _Health)
    _check_names(said.findings, names, FINDINGS_MAX)
    return Judgement((), _fraction(said.percent), Result(findings=tuple(said.findings)))


def _decoded(content: str, shape: type[S]) -> S:
    try:
        return msgspec.json.decode(content, type=shape)
    except msgspec.ValidationError:
        raise UnusableAnswer("wrong_shape", "JSON of another shape than the schema's") from None
    except NOT_DECODABLE:
        raise UnusableAnswer("not_json", "not JSON") from None


def _check_names(said: list[str], names: Collection[str], names_max: int) -> None:
    if len(said) > names_max:
        raise UnusableAnswer("wrong_shape", f"{len(said)} names, {names_max} are allowed")
    if any(name not in names for name in said):
        raise UnusableAnswer("unknown_name", "a name that was not offered")
    if len(set(said)) != len(said):
        raise UnusableAnswer("repeated_name", "the same name twice")


def _fraction(percent: int) -> float:
    if not 0 <= percent <= 100:
        raise UnusableAnswer("out_of_range", "a percentage outside 0 to 100")
    return percent / 100


def certainty(probability: float) -> float:
    """How far from a coin's toss, as the probability of the likelier side."""
    return max(probability, 1 - probability)


def by_score(labels: tuple[ScoredLabel, ...]) -> tuple[ScoredLabel, ...]:
    return tuple(sorted(labels, key=lambda label: -label.score))


def _object(properties: dict[str, Schema]) -> Schema:
    """An object with all of these and nothing else: what OpenAI's strict mode asks of every object."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _name_list(names: list[str], names_max: int) -> Schema:
    return {"type": "array", "items": {"type": "string", "enum": names}, "maxItems": names_max}
