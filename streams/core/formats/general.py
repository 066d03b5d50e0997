"""General instruct models: the policy in the system prompt, the answer as JSON by a schema.

Where the engine tells log-probabilities, a label's score is what the tokens say, not what the model says of
itself; else it is the model's own percentage.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.event import Kind
from schemas.policy import Policy
from schemas.verdict import ScoredLabel
from streams.core.answers import OUTCOMES, POSTS, Judgement, by_score, certainty, parse_answer, parse_names
from streams.core.formats.asking import Asking
from streams.core.likelihood import UNMEASURED, Likelihood, joined, likelihood_at, likelihood_between, rounded
from streams.core.questions import PromptTemplate, document_of, prompt_for
from streams.core.replies import Reply, Token
from streams.core.requests import Dialect
from streams.core.weighing import MENTION_FROM, NO_LABEL


def asking(policy: Policy, kind: Kind, model: str, dialect: Dialect) -> Asking:
    """The general format."""
    template = prompt_for(policy, kind, model, dialect)
    return Asking(
        kind=kind,
        bodies=(template.request,),
        show=document_of,
        parse=lambda replies: read(template, replies[0]),
        overhead_bytes=len(template.system.encode()),
        output_tokens_max=template.output_tokens_max,
    )


def read(template: PromptTemplate, reply: Reply) -> Judgement:
    """The judgement in a reply."""
    if template.wording == "names" and template.kind in POSTS:
        return _named(template, reply)
    judgement = parse_answer(template.kind, template.names, reply.content)
    if template.kind == "review_ban" and reply.tokens:
        return _measured_review(judgement, reply)
    return judgement


def _named(template: PromptTemplate, reply: Reply) -> Judgement:
    said = parse_names(template.names, reply.content)
    text = joined(reply.tokens)
    places = _places(text, reply.content, said or (NO_LABEL,))
    first = None if not places else likelihood_at(reply.tokens, places[0], template.names, b'"')
    if first is None:
        # No probabilities came, although they were asked for: the bare names are all there is.
        return Judgement(tuple(ScoredLabel(name=name, score=UNMEASURED) for name in said), UNMEASURED)
    if not said:
        return Judgement(_unsaid(first, said), first.of.get(NO_LABEL, 0.0), mass=first.mass)
    scores, mass = _scores(template, reply.tokens, places, said, first)
    labels = tuple(ScoredLabel(name=name, score=score) for name, score in scores.items())
    return Judgement(
        by_score((*labels, *_unsaid(first, said))),
        certainty(max(scores.values())),
        mass=min(first.mass, mass),
    )


def _scores(
    template: PromptTemplate,
    tokens: Sequence[Token],
    places: Sequence[int],
    said: Sequence[str],
    first: Likelihood,
) -> tuple[dict[str, float], float]:
    """How likely it is that each label that was named is named at all, and the least mass of its places.

    Which of two labels comes first says nothing about either, so the first has the probability of all that
    were named, and each further one that of going on, times what is left for it and those behind it.
    """
    scores: dict[str, float] = {}
    mass = 1.0
    reached = 1.0
    for number, name in enumerate(said):
        here = first if not number else likelihood_at(tokens, places[number], template.names, b'"')
        if number:
            gap = places[number - 1] + len(said[number - 1])
            reached *= likelihood_between(tokens, gap, places[number])
        likely = here.of if here else {}
        mass = min(mass, here.mass if here else 0.0)
        behind = sum(likely.get(other, 0.0) for other in said[number:])
        scores[name] = rounded(max(first.of.get(name, 0.0), reached * behind))
    return scores, mass


def _unsaid(first: Likelihood, said: Sequence[str]) -> tuple[ScoredLabel, ...]:
    """Labels that were not written, but were likely enough to be mentioned."""
    return tuple(
        ScoredLabel(name=name, score=rounded(share))
        for name, share in first.of.items()
        if share >= MENTION_FROM and name != NO_LABEL and name not in said
    )


def _measured_review(judgement: Judgement, reply: Reply) -> Judgement:
    outcome = judgement.result.outcome if judgement.result else None
    places = _places(joined(reply.tokens), reply.content, (outcome or "",))
    likely = likelihood_at(reply.tokens, places[0], OUTCOMES, b'"') if places else None
    if likely is None:
        return judgement
    return judgement._replace(confidence=rounded(likely.of.get(outcome or "", 0.0)), mass=likely.mass)


def _places(text: bytes, content: str, names: Sequence[str]) -> list[int]:
    """Where each name's first byte stands in what was written; none where the answer is not found there."""
    start = text.rfind(content.strip().encode())
    at = text.find(b":", start) if start >= 0 else -1
    places: list[int] = []
    for name in names:
        quoted = b'"%b"' % name.encode()
        at = text.find(quoted, at) if at >= 0 else -1
        if at < 0:
            return []
        places.append(at + 1)
        at += len(quoted)
    return places
