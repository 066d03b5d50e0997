"""The reference scorer on appeals, accounts and sites."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from streams.core.appraising import CAMPAIGN, LINKS, REPETITION, SPIKE, analyze_user, check_health, review_ban

LABELS = ("spam", "violence", "harassment")


def outcome(distribution: dict[str, float]) -> str:
    return max(distribution, key=lambda name: distribution[name])


def test_a_ban_with_evidence_of_its_ground_is_upheld():
    assert outcome(review_ban("spamming: spam", ["buy cheap followers"], LABELS)) == "uphold"


def test_a_ban_whose_evidence_is_harmless_is_overturned():
    assert outcome(review_ban("spam", ["I like trains"], LABELS)) == "overturn"


def test_evidence_of_another_harm_does_not_uphold_a_ban():
    assert outcome(review_ban("spam", ["I will kill you"], LABELS)) == "overturn"


def test_where_the_ground_names_no_label_any_harm_counts():
    assert outcome(review_ban("was not nice", ["I will kill you"], LABELS)) == "uphold"


def test_a_ban_without_evidence_is_unclear():
    assert outcome(review_ban("spam", [], LABELS)) == "unclear"


def test_one_threat_among_many_good_posts_is_not_averaged_away():
    good = ["I like trains", "Lovely weather", "See you at noon", "Thanks for the recipe"]
    assert analyze_user(good, LABELS).risk < 0.05
    threat = analyze_user([*good, "I will kill you"], LABELS)
    assert threat.risk > 0.5
    assert threat.reasons == ("violence",)


def test_an_account_that_repeats_itself_with_links_is_told_so():
    account = analyze_user(["look at https://example.test"] * 4, LABELS)
    assert set(account.reasons) >= {REPETITION, LINKS}


def test_a_site_shows_labels_campaigns_and_spikes():
    site = check_health(
        {"reports": 90, "reports_before": 30, "posts": 100, "posts_before": 99}, ["buy followers"] * 3, LABELS
    )
    assert site.findings == ("spam", CAMPAIGN, SPIKE)


def test_a_quiet_site_shows_nothing():
    assert check_health({"reports": 3, "reports_before": 3}, ["hello", "good day"], LABELS).findings == ()


@given(
    st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False, allow_infinity=False), max_size=6),
    st.lists(st.text(max_size=40), max_size=6),
)
def test_whatever_is_given_the_figures_stay_within_bounds(aggregates, texts):
    assert 0 <= check_health(aggregates, texts, LABELS).confidence <= 1
    assert 0 <= analyze_user(texts, LABELS).risk <= 1
    assert math.isclose(math.fsum(review_ban("spam", texts, LABELS).values()), 1.0)
