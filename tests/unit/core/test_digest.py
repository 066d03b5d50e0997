"""The digests: what changes each of them and what does not, and the bytes that must never change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from strategies import events, moderates

from schemas.event import AnalyzeUser, HealthCheck, Moderate, ReviewBan, Scan
from schemas.policy import Label, Policy, Prompt
from schemas.wire import encode
from streams.core.digest import (
    Asked,
    content_digest,
    document_digest,
    policy_digest,
    question_digest,
    verdict_id,
)

SECRET = b"a secret of the deployment"
POST = Moderate(v=1, id="1", text="Hello, world", tenant="acme", context={"title": "On worlds"})
BAN = ReviewBan(v=1, id="1", account="ann", ground="spam", evidence=("a", "b"), text="why me?")
ASKED = Asked(prompt=b"Judge.", model="m-7b", output_schema=b"{}", output_tokens_max=64)

GOLDEN = {
    "content": "b80cc3c5f910824876f9ee865fd4aefd",
    "unkeyed": "6566d11a2d2337d1096fddd1c599ff26",
    "deployment": "9fd7ef5c4799f398d707578665a27673",
    "hidden": "004dc5ad8aa61d5b39d4956631dce013",
    "ban": "f938d10c3f918bbb40cc9b2a3cfff50a",
    "account": "3251966e708588b6a9fd20c4cfe440b2",
    "site": "5bf0b74af3b4ac374cb9fbaedc423e05",
    "question": "d4086e3703413355736511aaf8a8f213",
    "document": "15c88a3373a034ef5f61b791e0b73d4e",
    "verdict": "78f7969da42c1495c83143300ab1803d",
}


def of(event, *, secret=SECRET, scope="tenant"):
    return content_digest(event, secret=secret, scope=scope)


def test_the_digests_of_today_are_those_of_every_release():
    # Pending records, remembered answers and verdicts carry them: another value is another text.
    golden = {
        "content": of(POST),
        "unkeyed": of(POST, secret=b""),
        "deployment": of(POST, scope="deployment"),
        "hidden": of(replace(POST, text="Hello\u200b, world")),
        "ban": of(BAN),
        "account": of(AnalyzeUser(v=1, id="1", account="ann", posts=("a", "b"))),
        "site": of(HealthCheck(v=1, id="1", aggregates={"b": 1.5, "a": 2.0}, samples=("x",))),
        "question": question_digest("00" * 16, "11" * 16, ASKED, secret=SECRET),
        "document": document_digest(b'{"v":1}'),
        "verdict": verdict_id("acme", "post-1", "00" * 16, 2),
    }
    assert golden == GOLDEN


@given(events(), st.sampled_from([b"", SECRET, b"x" * 100]), st.sampled_from(["tenant", "deployment"]))
def test_every_event_has_a_digest_of_32_hex_digits_and_always_the_same(event, secret, scope):
    digest = of(event, secret=secret, scope=scope)
    assert len(digest) == 32
    assert int(digest, 16) >= 0
    assert of(event, secret=secret, scope=scope) == digest


@given(moderates())
def test_who_wrote_it_when_and_under_which_policy_does_not_change_it(event):
    other = replace(
        event,
        id="other",
        author="other",
        lang="xx",
        created_at=None,
        deadline_ms=1,
        policy="other",
        probe="p",
        egress="allowed",
        rejudge=None,
    )
    assert of(other) == of(event)


@pytest.mark.parametrize("text", ["HELLO, WORLD", "Ｈｅｌｌｏ, world", "hello, world"])
def test_case_and_width_do_not_change_it(text):
    assert of(replace(POST, text=text)) == of(POST)


@pytest.mark.parametrize("text", ["\u0390", "\u03b0", "\u0149", "\u01f0", "\u1fb7", "stra\u00dfe", "\u1e9e"])
def test_nor_does_case_where_a_capital_is_more_than_one_character(text):
    assert of(replace(POST, text=text.upper())) == of(replace(POST, text=text))
    assert of(replace(POST, text=f"{text}\U0001f600".upper())) == of(replace(POST, text=f"{text}\U0001f600"))


@pytest.mark.parametrize(
    "other",
    [
        replace(POST, text="Hello, worlds"),
        replace(POST, text="Hello,  world"),
        replace(POST, text="Hello\u200b, world"),
        replace(POST, tenant="other"),
        replace(POST, context={}),
        replace(POST, context={"title": "On Worlds"}),
        replace(POST, context={"parent": "On worlds"}),
        Scan(v=1, id="1", text="Hello, world", tenant="acme", context={"title": "On worlds"}),
    ],
)
def test_text_tenant_context_and_kind_change_it(other):
    assert of(other) != of(POST)


def test_texts_that_hide_different_things_share_no_digest_with_each_other_or_with_what_is_seen():
    seen = replace(POST, text="hello")
    hidden = [
        replace(POST, text=f"hello{tag}") for tag in ("\u200b", "\u200c", "\U000e0068\U000e0069", "\x00")
    ]
    assert len({of(event) for event in (seen, *hidden)}) == 5


def test_in_the_deployments_scope_tenants_share_a_digest_and_scopes_do_not():
    other = replace(POST, tenant="other")
    assert of(other, scope="deployment") == of(POST, scope="deployment")
    assert of(replace(POST, tenant="default"), scope="deployment") != of(replace(POST, tenant="default"))


def test_the_secret_changes_it_in_all_its_length():
    long = b"k" * 64
    assert len({of(POST, secret=s) for s in (b"", b"a", b"b", long, long + b"1", long + b"2")}) == 6


@pytest.mark.parametrize(
    "other",
    [
        replace(BAN, account="bob"),
        replace(BAN, ground="scam"),
        replace(BAN, evidence=("a",)),
        replace(BAN, evidence=("ab",)),
        replace(BAN, evidence=("a", "b", "")),
        replace(BAN, evidence=("b", "a")),
        replace(BAN, evidence=("A", "b")),
        replace(BAN, text="why"),
    ],
)
def test_every_field_of_a_ban_changes_its_digest(other):
    assert of(other) != of(BAN)


def test_posts_of_accounts_and_figures_of_sites_change_theirs():
    account = AnalyzeUser(v=1, id="1", account="ann", posts=("a", "b"))
    site = HealthCheck(v=1, id="1", aggregates={"a": 1.0, "b": 2.0}, samples=("x",))
    others = [
        replace(account, posts=("ab",)),
        replace(account, account="bob"),
        replace(site, aggregates={"a": 2.0, "b": 1.0}),
        replace(site, aggregates={"a": 1.0}),
        replace(site, samples=()),
    ]
    assert len({of(event) for event in (account, site, *others)}) == 7
    assert of(replace(site, aggregates={"b": 2.0, "a": 1.0})) == of(site)


@given(
    st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3),
)
def test_two_contexts_share_a_digest_only_if_they_are_the_same(one, other):
    assert (of(replace(POST, context=one)) == of(replace(POST, context=other))) == (one == other)


fields = st.tuples(st.text(max_size=3), st.text(max_size=3), st.text("0a", max_size=2), st.integers(1, 3))


@given(fields, fields)
def test_two_verdicts_share_an_id_only_if_all_four_fields_are_the_same(one, other):
    assert (verdict_id(*one) == verdict_id(*other)) == (one == other)


@pytest.mark.parametrize(
    "other",
    [
        ASKED._replace(prompt=b"Judge!"),
        ASKED._replace(model="m-8b"),
        ASKED._replace(output_schema=b"[]"),
        ASKED._replace(output_tokens_max=65),
        ASKED._replace(temperature=0.1),
        ASKED._replace(prompt=b"Judge.m", model="-7b"),
    ],
)
def test_how_it_was_asked_makes_another_question(other):
    assert question_digest("a", "b", other, secret=b"") != question_digest("a", "b", ASKED, secret=b"")
    assert question_digest("ab", "", ASKED, secret=b"") != question_digest("a", "b", ASKED, secret=b"")


def test_a_policy_is_published_under_the_digest_of_its_bytes():
    policy = Policy(
        id="p",
        version=1,
        labels=(Label(name="spam", description="d"),),
        prompts=(Prompt(kind="moderate", text="t"),),
    )
    assert policy_digest(policy) == document_digest(encode(policy))
    assert policy_digest(replace(policy, version=2)) != policy_digest(policy)
