"""All mistakes of a policy file at once, each in its place, and word lists that become part of the policy."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import word_lists
from infra.drafting import MISTAKES_MAX, drafted
from infra.errors import Failure
from infra.policies import bad_policy, check, read
from schemas.policy import Rule

GOOD = """\
id = "mine"
version = 1

[[labels]]
name = "spam"
description = "Ads."

[[prompts]]
kind = "moderate"
text = "Judge."

[[rules]]
id = "ads"
type = "terms"
label = "spam"
action = "block"
files = ["words/ads.txt"]
matches = ["Buy now!"]
passes = ["buy it later"]

[[rules]]
id = "links"
type = "links"
label = "spam"
action = "label"
domains = ["spam.example"]
matches = ["see http://a.spam.example"]
passes = ["see http://ham.example"]
"""


@pytest.fixture
def told(tmp_path):
    """Give what `check` says of a text as a file, beside a word list: line, column and the rest."""
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "ads.txt").write_text("# Unwanted\n\nbuy now\n  Cheap Likes  \nbuy now\n")

    def tell(text):
        file = tmp_path / "policy.toml"
        file.write_text(text)
        return [(problem.line, problem.column, str(problem)) for problem in check(file)]

    return tell


def test_terms_come_from_files_and_the_policy_names_no_file(told, tmp_path):
    assert told(GOOD) == []
    policy = read(tmp_path / "policy.toml").policy
    assert policy.rules[0].terms == ("buy now", "Cheap Likes")


def test_terms_of_a_file_stand_behind_the_rules_own(told, tmp_path):
    assert told(GOOD.replace("files =", 'terms = ["ad", "buy now"]\nfiles =')) == []
    assert read(tmp_path / "policy.toml").policy.rules[0].terms == ("ad", "buy now", "Cheap Likes")


def test_a_bad_term_of_a_file_is_told_with_the_files_line(told, tmp_path):
    (tmp_path / "words" / "ads.txt").write_text("buy now\n!!\n")
    ((line, column, problem),) = told(GOOD)
    assert (line, column) == (17, 9)
    assert problem == "$.rules[0].files (rule ads): words/ads.txt, line 2: nothing of it is a word"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("words/none.txt", "cannot be read: No such file or directory"),
        ("../secret.txt", "must be a path below the policy file's own folder"),
        ("/etc/hostname", "must be a path below the policy file's own folder"),
        ("words", "cannot be read: Is a directory"),
        ("", "must be a path below the policy file's own folder"),
    ],
)
def test_a_word_list_that_cannot_be_used_is_told_once_and_where(told, name, reason):
    ((line, column, problem),) = told(GOOD.replace("words/ads.txt", name))
    assert (line, column) == (17, 10)
    assert problem == f"$.rules[0].files[0] (rule ads): {reason}"


def test_a_word_list_that_is_not_utf_8_is_told(told, tmp_path):
    (tmp_path / "words" / "ads.txt").write_bytes(b"caf\xe9\n")
    ((_, _, problem),) = told(GOOD)
    assert problem.endswith("not UTF-8 at byte 3, in line 1")


def test_a_term_of_a_list_that_has_not_the_shape_of_one_is_told_with_the_lists_line(told, tmp_path):
    (tmp_path / "words" / "ads.txt").write_text("buy now\n\n" + "x" * 300 + "\n")
    ((line, column, problem),) = told(GOOD.replace("files =", 'terms = ["ad", "ad"]\nfiles ='))
    assert (line, column) == (18, 9)
    assert problem == "$.rules[0].files (rule ads): words/ads.txt, line 3: must have at most 200 characters"


def test_a_pipe_is_no_word_list_and_nobody_waits_for_it(told, tmp_path):
    os.mkfifo(tmp_path / "words" / "pipe")
    ((_, _, problem),) = told(GOOD.replace("words/ads.txt", "words/pipe"))
    assert problem == "$.rules[0].files[0] (rule ads): cannot be read: Not a regular file"


def test_a_device_without_an_end_is_no_word_list(told, tmp_path):
    (tmp_path / "words" / "zero").symlink_to("/dev/zero")
    ((_, _, problem),) = told(GOOD.replace("words/ads.txt", "words/zero"))
    assert problem.endswith("cannot be read: Not a regular file")


def test_word_lists_are_bounded_all_together(told, monkeypatch):
    monkeypatch.setattr(word_lists, "LISTS_BYTES_MAX", 100)
    ((_, _, problem),) = told(
        GOOD.replace('["words/ads.txt"]', '["words/ads.txt", "words/ads.txt", "words/ads.txt"]')
    )
    assert problem.startswith(
        "$.rules[0].files[2] (rule ads): the word lists of all rules are together larger"
    )


def test_a_list_of_files_and_the_rules_own_terms_hide_none_of_each_others_mistakes(told):
    text = GOOD.replace('files = ["words/ads.txt"]', 'terms = ["ad", 3, "!!"]\nfiles = [4, "words/none.txt"]')
    assert [(line, column, problem.partition(": ")[2]) for line, column, problem in told(text)] == [
        (17, 16, "must be text, and is a whole number"),
        (17, 19, "nothing of it is a word"),
        (18, 10, "must be text"),
        (18, 13, "cannot be read: No such file or directory"),
    ]


def test_mistakes_of_shape_of_sense_and_of_examples_are_told_together_in_the_files_order(told):
    text = (
        GOOD.replace('description = "Ads."', 'description = "Ads."\nlabel_at = 0.9\nreview_at = 0.1')
        .replace('kind = "moderate"', 'kind = "moderat"')
        .replace('matches = ["Buy now!"]', 'matches = ["sell"]\nmod = "live"')
        .replace('"spam.example"', '"http://spam.example/"')
    )
    assert [(line, column, problem.partition(": ")[0]) for line, column, problem in told(text)] == [
        (4, 1, "$.labels[0]"),
        (11, 8, "$.prompts[0].kind"),
        (21, 1, "$.rules[0] (rule ads)"),
        (29, 12, "$.rules[1].domains[0] (rule links)"),
    ]


def test_an_example_is_tried_although_another_rule_has_mistakes(told):
    text = GOOD.replace('type = "terms"', 'type = "term"').replace("ham.example", "spam.example")
    (_, _, first), (_, _, second) = told(text)
    assert first.startswith("$.rules[0].type (rule ads): must be one of `terms`, `regex`, ")
    assert first.endswith("`flood`; did you mean `terms`?")
    assert second == "$.rules[1].passes[0] (rule links): the rule matches an example that it should let pass"


def test_a_label_that_has_a_mistake_of_its_own_is_not_told_as_missing(told):
    ((_, _, problem),) = told(GOOD.replace('name = "spam"', 'name = "Spam"'))
    assert problem.startswith("$.labels[0].name: ")


FLOOD = 'type = "flood"\nposts_over = 5\nwindow_s = 10'
RULE = """
[[rules]]
id = "more"
label = "spam"
action = "label"
matches = [{matches}]
passes = [{passes}]
{fields}
"""


@pytest.mark.parametrize(
    ("fields", "matches", "passes", "problem"),
    [
        (FLOOD, '"9 posts in 9 s"', '"5 posts in 9 s"', None),
        (
            FLOOD,
            '"many"',
            '"1 post in 1 s"',
            "must be a rate, as `30",
        ),
        (
            FLOOD,
            '"5 posts in 9 s"',
            '"1 post in 1 s"',
            "does not match",
        ),
        ('type = "shape"', '"x"', '"y"', "needs `capitals_share`, `emoji_share` or `mentions_over`"),
        ('type = "shape"\nmentions_over = 1', '"@a @b"', '"@a"', None),
        ('type = "shape"\nmentions = 1', '"@a @b"', '"@a"', "did you mean `mentions_over`?"),
        ('type = "links"\ndomains = ["a b"]', '"x"', '"y"', "not a domain"),
        ('type = "terms"\nterms = ["ab"]\nanywhere = true', '"cabs"', '"a b"', None),
        ('type = "terms"\nterms = ["spam"]\nevasion = true', '"sp4m"', '"ham"', None),
        ('type = "terms"\nterms = ["a"]\nfile = ["x"]', '"a"', '"b"', "did you mean `files`?"),
        (
            'type = "allow"\nauthors = ["bob"]',
            '"bob"',
            '"bobby"',
            "the type `allow` is for the action",
        ),
        ('type = "repetition"\nlines_min = 2', '"a\\na"', '"a\\nb"', None),
        ('type = "terms"\nterms = ["ab"]\ncanary_percent = 101', '"ab"', '"cd"', "at most 100"),
    ],
)
def test_every_type_of_rule_is_judged_with_its_examples(told, fields, matches, passes, problem):
    found = told(GOOD + RULE.format(fields=fields, matches=matches, passes=passes))
    if problem is None:
        assert found == []
    else:
        ((line, _, said),) = found
        assert problem in said
        assert line > 27


@pytest.mark.parametrize("action", ["block", "allow"])
def test_a_flood_is_labelled_or_reviewed_and_no_more(told, action):
    rule = RULE.replace('action = "label"', f'action = "{action}"')
    text = GOOD + rule.format(
        fields=FLOOD,
        matches='"9 posts in 9 s"',
        passes='"1 post in 9 s"',
    )
    ((_, _, problem),) = told(text)
    assert problem.endswith("is a reason to `label` or `review`, no more")


def test_allow_rules_have_authors_or_digests_as_examples(told):
    rule = RULE.replace('action = "label"', 'action = "allow"').replace('label = "spam"\n', "")
    digest = "0123456789abcdef" * 2
    fields = f'type = "allow"\nauthors = ["bob"]\ndigests = ["{digest}"]'
    assert told(GOOD + rule.format(fields=fields, matches=f'"bob", "{digest}"', passes='"alice"')) == []


def test_there_are_not_more_flood_rules_than_may_keep_counts(told):
    one = RULE.format(
        fields=FLOOD,
        matches='"9 posts in 9 s"',
        passes='"1 post in 9 s"',
    )
    text = GOOD + "".join(one.replace('"more"', f'"more-{number}"') for number in range(9))
    ((_, _, problem),) = told(text)
    assert problem == "$.rules[10].type (rule more-8): there are 9 rules of this type, 8 are allowed"


def test_the_page_on_policies_shows_every_type_of_rule_and_its_examples_hold(told, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
    shown = "\n".join(re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    (tmp_path / "words" / "slurs.txt").write_text("slur\n")
    labels = "\n".join(f'[[labels]]\nname = "{name}"\ndescription = "d"' for name in ("hate", "scam"))
    assert told(GOOD.partition("[[rules]]")[0] + labels + "\n" + shown) == []
    types = {shape.__struct_config__.tag for shape in get_args(Rule)}
    assert set(re.findall(r'^type = "(\w+)"$', shown, re.MULTILINE)) == types


WAVES = """\
id = "mine"
version = 0

[[labels]]
name = "spam"
description = ""
label_at = 0.9
review_at = 0.1

[[labels]]
name = "spam"
description = "Ads."

[[prompts]]
kind = "moderate"
text = ""

[[prompts]]
kind = "moderate"
text = "Judge."

[[rules]]
id = "ads"
type = "flood"
label = "scam"
action = "block"
posts_over = 0
window_s = 10

[[rules]]
id = "ads"
type = "links"
label = "spam"
action = "labeled"
domains = ["http://a.b/"]
max = 3

[[rules]]
id = "ads"
type = "shap"
label = "hate"
action = "block"
modes = "off"
kinds = ["x"]
"""


def test_a_mistake_of_shape_hides_none_of_sense_in_the_same_element_or_in_another(told):
    assert [problem.replace("$.", "")[:60] for *_, problem in told(WAVES)] == [
        "version: must be a whole number, at least 1",
        "labels[0]: `spam` needs label_at <= review_at <= block_at",
        "labels[0].description: must not be empty",
        "labels[1].name: `spam` stands at labels[0] already",
        "prompts[0].text: must not be empty",
        "prompts[1].kind: `moderate` stands at prompts[0] already",
        "rules[0].matches (rule ads): a rule needs at least one examp",
        "rules[0].passes (rule ads): a rule needs at least one exampl",
        "rules[0].label (rule ads): there is no label `scam`",
        "rules[0].action (rule ads): that an author writes much is a ",
        "rules[0].posts_over (rule ads): must be a whole number, at l",
        "rules[1].matches (rule ads): a rule needs at least one examp",
        "rules[1].passes (rule ads): a rule needs at least one exampl",
        "rules[1].id (rule ads): `ads` stands at rules[0] already",
        "rules[1].action (rule ads): must be one of `allow`, `label`,",
        "rules[1].domains[0] (rule ads): not a domain; as in `example",
        "rules[1] (rule ads): there is no field `max` (there are: typ",
        "rules[2].matches (rule ads): a rule needs at least one examp",
        "rules[2].passes (rule ads): a rule needs at least one exampl",
        "rules[2].id (rule ads): `ads` stands at rules[0] already",
        "rules[2].type (rule ads): must be one of `terms`, `regex`, `",
        "rules[2].label (rule ads): there is no label `hate`",
        "rules[2].kinds[0] (rule ads): must be one of `moderate`, `re",
    ]


IN_ONE_LIST = """
[[rules]]
id = "Bad"
type = "links"
action = "label"
label = "spam"
kinds = ["scan", "review_ban"]
domains = ["", "http://a.b/c", "a b", "ok.example"]
except_domains = [3, "x.example", 4]
matches = ["see http://ok.example", 5, "none", 6]
passes = []

[reuse_ttl]
allow_s = -1
block_s = -2
label_s = "x"
bogus = 1
"""


def test_of_a_list_each_bad_element_is_told_and_of_a_table_each_bad_field(told):
    assert [problem.replace("$.rules[2]", "")[:44] for *_, problem in told(GOOD + IN_ONE_LIST)] == [
        ".id (rule Bad): must be 1 to 64 small letter",
        ".kinds[1] (rule Bad): `review_ban` is for a ",
        ".domains[0] (rule Bad): must not be empty",
        ".domains[1] (rule Bad): not a domain; as in ",
        ".domains[2] (rule Bad): not a domain; as in ",
        ".except_domains[0] (rule Bad): must be text,",
        ".except_domains[2] (rule Bad): must be text,",
        ".matches[1] (rule Bad): must be text, and is",
        ".matches[3] (rule Bad): must be text, and is",
        ".passes (rule Bad): a rule needs at least on",
        "$.reuse_ttl.allow_s: must be a whole number,",
        "$.reuse_ttl.block_s: must be a whole number,",
        "$.reuse_ttl.label_s: must be a whole number,",
        "$.reuse_ttl: there is no field `bogus` (ther",
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"ads"\ntype', '"Ads"\ntype'),
        ('action = "block"', 'action = "blok"'),
        ('action = "block"', 'action = "block"\nkinds = []'),
        ('action = "block"', 'action = "block"\nkinds = ["review_ban"]'),
        ('action = "block"', 'action = "block"\ncanary_percent = 101'),
        ('label = "spam"\naction = "block"', 'label = "scam"\naction = "block"'),
    ],
)
def test_a_mistake_beside_what_a_rule_looks_for_keeps_no_example_from_being_tried(told, old, new):
    (_, _, first), (_, _, second) = told(GOOD.replace(old, new).replace("Buy now!", "sell"))
    assert ".matches" not in first
    assert ".matches[0]" in second
    assert second.endswith("the rule does not match its example")
    assert "draft" not in first + second


def test_the_id_that_an_author_wrote_names_the_rule_also_where_it_is_a_bad_one(told):
    found = told(
        GOOD.replace('"ads"\ntype', '"Ads!"\ntype').replace('label = "spam"\na', 'label = "scam"\na', 1)
    )
    assert ["(rule Ads!)" in problem for *_, problem in found] == [True, True]


def test_no_mistake_can_look_like_a_line_of_the_report_or_steer_the_terminal(told, tmp_path):
    forged = '"spma\\u001b[31m\\n  line 1, column 1: all is well"'
    told(GOOD.replace('label = "spam"\naction = "block"', f'label = {forged}\naction = "block"'))
    failure = bad_policy("policy.toml", check(tmp_path / "policy.toml"))
    assert isinstance(failure, Failure)
    title, line = failure.sentence.split("\n")
    assert title.endswith("1 mistake:")
    assert line.endswith(r"there is no label `spma\x1b[31m\n  line 1, column 1: all is well`")


def test_mistakes_without_number_are_told_up_to_a_bound(told, tmp_path):
    text = GOOD + "".join(f"\nno_{number} = 1" for number in range(10 * MISTAKES_MAX))
    found = told(
        text + "\n[reuse_ttl]\n" + "".join(f"no_{number} = 1\n" for number in range(10 * MISTAKES_MAX))
    )
    assert len(found) == MISTAKES_MAX
    failure = bad_policy("policy.toml", check(tmp_path / "policy.toml"))
    assert "1000 mistakes and maybe more:" in failure.sentence


def test_a_list_of_which_nothing_is_right_is_told_up_to_a_bound(told):
    terms = ", ".join(["7"] * 2_000)
    found = told(GOOD.replace('files = ["words/ads.txt"]', f"terms = [{terms}]"))
    assert len(found) == MISTAKES_MAX


@pytest.mark.parametrize("options", ["", "\nevasion = true"])
def test_a_whole_word_that_is_another_one_without_its_signs_is_refused_with_what_to_write(told, options):
    text = GOOD.replace('files = ["words/ads.txt"]', f'terms = ["a$$", "buy now"]{options}')
    ((_, _, problem),) = told(text)
    assert problem == (
        "$.rules[0].terms[0] (rule ads): signs are no part of words: only `a` is left of it; write the word "
        "itself, with `evasion = true` for its disguises, or `anywhere = true` for the signs"
    )
    assert told(text.replace("terms =", "anywhere = true\nterms =")) == []


def test_a_rule_without_any_terms_has_its_other_mistakes_told_as_well(told):
    text = GOOD.replace('files = ["words/ads.txt"]', "terms = []\nkinds = []").replace('["Buy now!"]', "[]")
    assert [problem.partition(": ")[0].split()[0] for *_, problem in told(text)] == [
        "$.rules[0].terms",
        "$.rules[0].kinds",
        "$.rules[0].matches",
    ]


lists = st.sampled_from(["terms", "matches", "passes", "kinds"])


@given(lists, st.lists(st.booleans(), min_size=1, max_size=8))
def test_of_any_list_exactly_the_bad_elements_are_told(name, are_bad):
    table = tomllib.loads(GOOD.replace('files = ["words/ads.txt"]', 'terms = ["buy now"]'))
    good = {"terms": "buy now", "matches": "buy now", "passes": "sell", "kinds": "scan"}[name]
    table["rules"][0][name] = [3 if is_bad else good for is_bad in are_bad]
    told = [problem.path for problem, _ in drafted(table, Path()).problems]
    assert told == [f"$.rules[0].{name}[{at}]" for at, is_bad in enumerate(are_bad) if is_bad]


@given(st.data())
def test_where_one_field_is_spoilt_nothing_else_is_told_of(data):
    table = tomllib.loads(GOOD.replace('files = ["words/ads.txt"]', 'terms = ["buy now"]'))
    section = data.draw(st.sampled_from(["labels", "prompts", "rules"]))
    at = data.draw(st.integers(0, len(table[section]) - 1))
    name = data.draw(st.sampled_from(sorted(table[section][at])))
    table[section][at][name] = data.draw(st.sampled_from([None, 7.5, "!", [], [3], {}]))
    if data.draw(st.booleans()):
        del table[section][at][name]
    told = [str(problem) for problem, _ in drafted(table, Path()).problems]
    assert [line for line in told if not line.startswith(f"$.{section}[{at}]") or "draft" in line] == []
    assert len(set(told)) == len(told)
