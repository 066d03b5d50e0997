"""The demonstration's events: the same for the same seed, a fifth repeated, half of them for the rules."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from infra.load.traffic import Sent, Traffic
from infra.policies import default_policy_path, read
from schemas.event import KINDS, PRIORITIES, Moderate, Scan
from schemas.settings import LimitSettings
from schemas.wire import encode, event_decoder
from streams.core.triage import Decided, triage


def _made(count: int, run: str = "run", seed: int = 0) -> list[Sent]:
    return [*islice(Traffic(run, seed=seed), count)]


def test_the_same_seed_gives_the_same_texts_under_the_runs_own_ids() -> None:
    one, same, other = _made(200), _made(200, "again"), _made(200, seed=1)
    assert [sent.event.text for sent in one] == [sent.event.text for sent in same]
    assert {sent.event.id for sent in one}.isdisjoint(sent.event.id for sent in same)
    assert [sent.event.text for sent in one] != [sent.event.text for sent in other]


def test_every_id_is_unique_and_known_as_the_runs_own() -> None:
    traffic = Traffic("ab")
    ids = [sent.event.id for sent in islice(traffic, 2_000)]
    assert len(set(ids)) == 2_000
    assert all(map(traffic.is_own, ids))
    assert not traffic.is_own("abc-000001")


def test_every_event_is_one_that_triage_can_read() -> None:
    decode = event_decoder(LimitSettings().record_bytes_max)
    sent = _made(2_000)
    assert [decode(encode(one.event)) for one in sent] == [one.event for one in sent]


def test_all_kinds_and_priorities_and_several_tenants_occur() -> None:
    sent = _made(2_000)
    assert {one.event.kind for one in sent} == {*KINDS}
    assert {one.priority for one in sent} == {*PRIORITIES}
    assert len({one.event.tenant for one in sent}) == 3


def test_about_a_fifth_of_the_posts_repeats_an_earlier_one() -> None:
    # Long texts: short ones repeat by chance.
    posts = [one.event.text for one in _made(4_000) if isinstance(one.event, Moderate | Scan)]
    texts = Counter(text for text in posts if len(text) > 40)
    repeated = 1 - len(texts) / texts.total()
    assert 0.15 < repeated < 0.3


def test_the_default_policys_rules_decide_about_half() -> None:
    policy = read(default_policy_path())
    decided = sum(isinstance(triage(one.event, policy), Decided) for one in _made(2_000))
    assert 0.4 < decided / 2_000 < 0.6
