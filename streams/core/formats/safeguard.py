"""gpt-oss-safeguard: a written policy to reason by, and at the end `violation` 0 or 1 and the labels.

It thinks before it answers. Held to a schema it could not, so it gets none and room to think; the answer is
read strictly. The probability of its 0 or 1 comes after the thinking and is mostly near one of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from schemas.event import Kind
from schemas.policy import Policy
from schemas.verdict import ScoredLabel
from streams.core.answers import LABELS_MAX, NOT_DECODABLE, Judgement, UnusableAnswer, certainty
from streams.core.formats.asking import Asking, posts_only
from streams.core.formats.verdict_word import WORDS_LOGPROBS, verdict_word
from streams.core.questions import CONTENT_IS_DATA, document_of, told_of
from streams.core.replies import Reply
from streams.core.requests import Dialect, chat_body

OUTPUT_TOKENS_MAX = 2_048
"""It reasons in some hundreds of tokens at `low`; what is cut off is no answer."""


class _Answer(msgspec.Struct):
    violation: int
    labels: list[str] = []


def asking(policy: Policy, kind: Kind, model: str, dialect: Dialect) -> Asking:
    """Safeguard's format."""
    posts_only(kind)
    system = policy_prompt(policy, kind)
    names = frozenset(label.name for label in policy.labels)
    # They come with each token of its thoughts as well: with twenty of them a reply would take 4 MiB.
    dialect = dialect._replace(top_logprobs=min(dialect.top_logprobs, WORDS_LOGPROBS))
    return Asking(
        kind=kind,
        bodies=(chat_body(model, system, dialect, tokens_max=OUTPUT_TOKENS_MAX),),
        show=document_of,
        parse=lambda replies: _read(names, replies),
        overhead_bytes=len(system.encode()),
        output_tokens_max=OUTPUT_TOKENS_MAX,
    )


def policy_prompt(policy: Policy, kind: Kind) -> str:
    """The policy in the sections that it was trained to read."""
    labels = "\n".join(f"- {label.name}: {label.description.strip()}" for label in policy.labels)
    return (
        "Reasoning: low\n\n"
        f"# Policy\n\n## Instructions\n{told_of(policy, kind)}\n"
        f"{CONTENT_IS_DATA}\n\n"
        f"## Violates (1)\n{labels}\n\n"
        "## Safe (0)\nWhatever none of these describes.\n\n"
        "## Answer\nOnly this JSON, with at most "
        f'{LABELS_MAX} of the names above: {{"violation": 0 or 1, "labels": ["name"]}}'
    )


def _read(names: frozenset[str], replies: Sequence[Reply]) -> Judgement:
    try:
        said = msgspec.json.decode(replies[0].content.strip(), type=_Answer)
    except NOT_DECODABLE:
        raise UnusableAnswer("not_json", "not the JSON that was asked for") from None
    if said.violation not in {0, 1} or bool(said.violation) != bool(said.labels):
        raise UnusableAnswer("wrong_shape", "a violation without labels, or labels without one")
    if len(said.labels) > LABELS_MAX or len(set(said.labels)) < len(said.labels):
        raise UnusableAnswer("repeated_name", "too many labels, or one of them twice")
    if not names.issuperset(said.labels):
        raise UnusableAnswer("unknown_name", "a name that was not offered")
    word = verdict_word(replies[0], '"violation":', ("0", "1"))
    score = word.of("1")
    if not said.violation:
        return Judgement((), certainty(word.of("0")), mass=word.mass)
    return Judgement(
        tuple(ScoredLabel(name=name, score=score) for name in said.labels), certainty(score), mass=word.mass
    )
