"""What the reference node says about several posts at once: each scored by itself, under its own id.

It knows a packed request by its schema: an object whose members are the ids of the posts that stand in the
user's message, each a list of names and figures (`streams.core.packing`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from infra.nodes.reference.answering import (
    Document,
    Piece,
    SchemaNotUnderstood,
    choices,
    fixed,
    percent,
)
from infra.nodes.reference.faults import MixedUp
from streams.core.answers import NOT_DECODABLE
from streams.core.weighing import NO_LABEL, probability_of_none, score


class _Slot(msgspec.Struct, frozen=True):
    id: str
    post: Document


_decode_slots = msgspec.json.Decoder(list[_Slot]).decode


def is_packed(schema: Mapping[str, Any] | None) -> bool:
    """Whether a schema asks for an answer under each of several ids."""
    properties = (schema or {}).get("properties")
    if not isinstance(properties, dict) or not properties:
        return False
    return all(
        isinstance(item, dict) and item.get("type") == "array" and "anyOf" in (item.get("items") or {})
        for item in properties.values()
    )


def answer_pack(
    schema: Mapping[str, Any], content: str, mixed_up: MixedUp | None = None
) -> tuple[Piece, ...]:
    """The answer about each post, in the order of the schema."""
    posts = _posts_in(content)
    ids = list(schema["properties"])
    if sorted(ids) != sorted(posts):
        raise SchemaNotUnderstood("its members must be the ids of the posts")
    written = _written(ids, mixed_up)
    names = _names_in(schema["properties"][ids[0]])
    pieces: list[Piece] = []
    for position, (shown, judged) in enumerate(written):
        pieces += fixed('{"' if position == 0 else '],"')
        pieces += [Piece(shown, 0.0, {shown: 0.0})]
        pieces += _scores(names, posts[judged])
    return (*pieces, *fixed("]}"))


def _written(ids: list[str], mixed_up: MixedUp | None) -> list[tuple[str, str]]:
    """Under which id each post is answered; as a model does it that has lost track, where that is wanted."""
    match mixed_up:
        case None:
            return list(zip(ids, ids, strict=True))
        case "missing_id":
            return [(name, name) for name in ids[1:]]
        case "doubled_id":
            return [(name, name) for name in (*ids, ids[0])]
        case "foreign_id":
            return [("zzzzz", ids[0]), *((name, name) for name in ids[1:])]
        case "mixed_ids":
            return list(zip(ids, (*ids[1:], ids[0]), strict=True))


def _scores(names: Sequence[str], document: Document) -> Iterator[Piece]:
    labels = [name for name in names if name != NO_LABEL]
    scored = score(document.whole_text, labels)
    for position, (label, piece) in enumerate(choices(scored)):
        yield from fixed(',"' if position else '":["')
        yield piece
        likelihood = probability_of_none(scored) if label.name == NO_LABEL else label.probability
        yield from fixed(f'",{percent(likelihood)}')


def _posts_in(content: str) -> dict[str, Document]:
    try:
        return {slot.id: slot.post for slot in _decode_slots(content)}
    except NOT_DECODABLE:
        raise SchemaNotUnderstood("the message must be a list of posts with ids") from None


def _names_in(item: Mapping[str, Any]) -> list[str]:
    names = next((kind["enum"] for kind in item["items"]["anyOf"] if "enum" in kind), None)
    if not names:
        raise SchemaNotUnderstood("it names no labels")
    return list(names)
