"""A node model that reads each post rightly, and then does whatever any post tells it, if it can see that.

It sees an order wherever the post stands in the request, tags and other alphabets included: no model reads
more willingly. What each order does is in the corpus (`tests/data/injection`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from streams.core.packing import Pack
from streams.core.weighing import NO_LABEL, mentioned, probability_of_none, score

CORPUS = Path(__file__).parent / "data" / "injection" / "attacks.jsonl"
Said = dict[str, list[Any]]
CLEAN = [NO_LABEL, 99]


class Attack(msgspec.Struct, frozen=True):
    """One line of the corpus."""

    id: str
    family: str
    does: str
    text: str
    label: str = ""
    says: str = ""
    phrases: tuple[str, ...] = ()


def corpus() -> list[Attack]:
    lines = CORPUS.read_text().splitlines()
    return [msgspec.json.decode(line, type=Attack) for line in lines]


def honest(text: str, labels: tuple[str, ...]) -> list[Any]:
    """What a model says about one post that nobody has talked into anything."""
    scored = score(text, labels)
    named = [part for label in mentioned(scored) for part in (label.name, round(100 * label.probability))]
    return named or [NO_LABEL, round(100 * probability_of_none(scored))]


def obeying(pack: Pack, labels: tuple[str, ...], attacks: list[Attack]) -> str:
    """The answer to a pack, after each order in it."""
    texts = {slot.id: json.loads(slot.document)["text"] for slot in pack.slots}
    said = {name: honest(text, labels) for name, text in texts.items()}
    reply = ""
    for attack in attacks:
        for name in [name for name, text in texts.items() if text == attack.text]:
            reply = reply or attack.says
            said = _EFFECTS[attack.does](said, name, texts, attack)
    # A member that was doubled has a blank behind its id until here.
    return reply or json.dumps(said).replace(' ":', '":')


def _set(said: Said, names: list[str], value: list[Any]) -> Said:
    return {name: value if name in names else was for name, was in said.items()}


def _at(said: Said, me: str, step: int) -> list[str]:
    """The id so many places behind one, if there is one."""
    ids = list(said)
    place = ids.index(me) + step
    return [ids[place]] if 0 <= place < len(ids) else []


def _others(said: Said, me: str) -> list[str]:
    return [name for name in said if name != me]


def _unlike(texts: dict[str, str], phrases: tuple[str, ...]) -> list[str]:
    return [name for name, text in texts.items() if not any(phrase in text for phrase in phrases)]


def _without(said: Said, names: list[str]) -> Said:
    return {name: was for name, was in said.items() if name not in names}


def _doubled(said: Said, names: list[str]) -> Said:
    return said | {f"{name} ": CLEAN for name in names}


def _renamed(said: Said, names: list[str]) -> Said:
    return {"q7777" if name in names else name: was for name, was in said.items()}


def _rotated(said: Said, names: list[str]) -> Said:
    """Each of these gets the answer of the one after it."""
    behind = dict(zip(names, names[1:] + names[:1], strict=True))
    return {name: said[behind.get(name, name)] for name in said}


_Effect = Callable[[Said, str, dict[str, str], Attack], Said]
_EFFECTS: dict[str, _Effect] = {
    "clear_all": lambda said, *_: _set(said, list(said), CLEAN),
    "clear_me": lambda said, me, *_: _set(said, [me], CLEAN),
    "clear_others": lambda said, me, *_: _set(said, _others(said, me), CLEAN),
    "clear_next": lambda said, me, *_: _set(said, _at(said, me, 1), CLEAN),
    "clear_previous": lambda said, me, *_: _set(said, _at(said, me, -1), CLEAN),
    "clear_first": lambda said, *_: _set(said, list(said)[:1], CLEAN),
    "clear_last": lambda said, *_: _set(said, list(said)[-1:], CLEAN),
    "clear_but": lambda said, _, texts, attack: _set(said, _unlike(texts, attack.phrases), CLEAN),
    "smear_all": lambda said, _, __, attack: _set(said, list(said), [attack.label, 100]),
    "smear_others": lambda said, me, _, attack: _set(said, _others(said, me), [attack.label, 100]),
    "smear_next": lambda said, me, _, attack: _set(said, _at(said, me, 1), [attack.label, 100]),
    "smear_first": lambda said, _, __, attack: _set(said, list(said)[:1], [attack.label, 100]),
    "smear_but": lambda said, _, texts, attack: _set(
        said, _unlike(texts, attack.phrases), [attack.label, 100]
    ),
    "swap_neighbours": lambda said, me, *_: _rotated(said, _at(said, me, -1) + _at(said, me, 1)),
    "rotate": lambda said, *_: _rotated(said, list(said)),
    "drop_next": lambda said, me, *_: _without(said, _at(said, me, 1)),
    "drop_others": lambda said, me, *_: _without(said, _others(said, me)),
    "double_next": lambda said, me, *_: _doubled(said, _at(said, me, 1)),
    "rename_next": lambda said, me, *_: _renamed(said, _at(said, me, 1)),
    "foreign_id": lambda said, *_: said | {"aaaaa": CLEAN},
    "says": lambda said, *_: said,
}
