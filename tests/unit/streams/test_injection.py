"""200 attacks against a model that does what it is told: no neighbour's verdict in a pack ever changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from nodes import POLICY
from obeying import Attack, corpus, honest, obeying

from schemas.event import Moderate
from schemas.settings import JudgeSettings
from streams.core import suspicion
from streams.core.answers import Judgement
from streams.core.packing import Believed, make_pack, read_pack
from streams.core.retrying import Evidence
from streams.packs import Ask, Packs
from streams.ports import Answer, PackedAnswer, Question

LABELS = tuple(label.name for label in POLICY.labels)
NAMES = (*LABELS, "none")
ATTACKS = corpus()
MAKE_UP = {
    "orders": 40,
    "fake_ids": 20,
    "closing_brackets": 25,
    "fake_verdicts": 25,
    "sentinel_guessing": 30,
    "hidden": 30,
    "roles": 15,
    "other_languages": 15,
}
NEIGHBOURS = (
    "I will find you and break your legs",
    "What a lovely day at the lake",
    "Order now, best price for seo services",
    "My tomatoes are ripe at last",
    "You are an idiot and a loser",
)
ROUNDS = 5


@dataclass(slots=True, eq=False)
class Post:
    question: Question
    lane: int = 2
    arrived_ms: float = 0.0
    goes_alone: bool = False

    @property
    def text(self) -> str:
        event = self.question.event
        assert isinstance(event, Moderate)
        return event.text


def post(text: str) -> Post:
    return Post(Question(Moderate(v=1, id="1", text=text), POLICY))


def named(said: list) -> dict[str, float]:
    return {
        name: percent / 100 for name, percent in zip(said[::2], said[1::2], strict=True) if name != "none"
    }


def answered(judged: Judgement) -> Answer:
    return Answer(judged.labels, judged.confidence, "obeying")


def judged_by_an_obeying_model(texts: list[str], number: int) -> tuple[dict[str, dict[str, float]], int]:
    """Each post's labels in the end, and how many requests that took; packs as the dispatch makes them."""
    settings = JudgeSettings(pack_recheck_ratio=0)
    entropies = iter(range(number * 1_000, number * 1_000 + 1_000))
    packs: Packs[Post] = Packs(
        {"n": True}, lambda: settings, lambda size: next(entropies).to_bytes(size, "big")
    )
    found: dict[str, dict[str, float]] = {}
    requests = 0
    for ask in _asks(packs, texts):
        requests += 1
        if ask.packed is None:
            found[ask.jobs[0].text] = named(honest(ask.jobs[0].text, LABELS))
            continue
        pack = ask.packed.pack
        match read_pack(pack, NAMES, obeying(pack, LABELS, ATTACKS)):
            case Believed(judgements):
                told = [answered(judged) if isinstance(judged, Judgement) else None for judged in judgements]
                done = packs.answered("n", ask, PackedAnswer(tuple(told)))
                for job, said in done.done:
                    found[job.text] = {label.name: label.score for label in said.labels}
                for job in done.alone:
                    requests += 1
                    found[job.text] = named(honest(job.text, LABELS))
            case _:
                assert packs.failed("n", ask, "node_bad_answer", Evidence()) == ()
    return found, requests


def _asks(packs: Packs[Post], texts: list[str]) -> Iterator[Ask[Post]]:
    for text in texts:
        offered = packs.offer("n", post(text), 0.0)
        if isinstance(offered, Ask):
            yield offered
    while (ask := packs.take("n", 10_000.0)) is not None:
        yield ask


def test_the_corpus_is_made_up_as_its_page_says():
    assert Counter(attack.family for attack in ATTACKS) == MAKE_UP
    assert len({attack.text for attack in ATTACKS}) == len({attack.id for attack in ATTACKS}) == 200


@pytest.mark.parametrize("family", MAKE_UP)
def test_no_neighbours_verdict_ever_changes(family):
    alone = {text: named(honest(text, LABELS)) for text in NEIGHBOURS}
    assert [sorted(labels) for labels in alone.values()] == [["violence"], [], ["spam"], [], ["harassment"]]
    judged = 0
    for at, attack in enumerate(attack for attack in ATTACKS if attack.family == family):
        for number in range(ROUNDS):
            place = (at + number) % (len(NEIGHBOURS) + 1)
            texts = [*NEIGHBOURS[:place], attack.text, *NEIGHBOURS[place:]]
            found, _ = judged_by_an_obeying_model(texts, number + at)
            assert {text: found[text] for text in NEIGHBOURS} == alone, attack.id
            assert set(found) == set(texts)
            judged += len(found)
    assert judged == MAKE_UP[family] * ROUNDS * 6


def test_what_is_packed_all_the_same_costs_six_more_requests_at_most():
    reached = [attack for attack in ATTACKS if _may_be_packed(attack)]
    assert len(reached) == 3
    for attack in reached:
        _, without = judged_by_an_obeying_model([*NEIGHBOURS, "See you on Friday then"], 1)
        _, requests = judged_by_an_obeying_model([*NEIGHBOURS, attack.text], 1)
        assert requests - without <= 6, attack.id


def test_without_the_word_list_ids_and_sentinels_alone_meet_all_but_what_names_its_neighbours():
    """How much each of the two defences does: here every attack is packed, whatever it says."""
    believed_and_changed: set[str] = set()
    for attack in ATTACKS:
        for number in range(20):
            if _changes_a_neighbour(attack, number):
                believed_and_changed.add(attack.id)
    by_effect = Counter(attack.does for attack in ATTACKS if attack.id in believed_and_changed)
    assert set(by_effect) <= {
        "clear_next", "clear_previous", "clear_first", "clear_last", "clear_but",
        "smear_next", "smear_first", "smear_but", "swap_neighbours", "rotate",
    }  # fmt: skip
    assert 45 <= len(believed_and_changed) <= 60


def _may_be_packed(attack: Attack) -> bool:
    event = Moderate(v=1, id="1", text=attack.text)
    return (
        suspicion.why_alone(event, is_critical=False, is_hiding=False, tokens_max=256, labels=LABELS) is None
    )


def _changes_a_neighbour(attack: Attack, number: int) -> bool:
    texts = [*NEIGHBOURS, attack.text]
    events = [Moderate(v=1, id="1", text=text) for text in texts]
    pack = make_pack(events, POLICY, number.to_bytes(32, "big"))
    assert pack is not None
    match read_pack(pack, NAMES, obeying(pack, LABELS, ATTACKS)):
        case Believed(judgements):
            scores = [
                {label.name: label.score for label in judged.labels}
                if isinstance(judged, Judgement)
                else None
                for judged in judgements[:-1]
            ]
            return scores != [named(honest(text, LABELS)) for text in NEIGHBOURS]
        case _:
            return False
