"""Where each value of a TOML or JSON text stands, found by walking over it once."""

from __future__ import annotations

import json

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from infra.places import Place, Places

TEXT = """# A comment with = and [brackets]
id = "x"
"odd key" = 'literal # not a comment'
many = [
  "one",  # the first, with a ] in its comment
  'two', [3, 4],
]
table = { a = 1, b.c = "d" }
long = \"\"\"
a = "not a key" \\\\"\"\"

[[rules]]
id = "first"

[[rules]]
id = "second"
  [rules.inner]
  deep = 2026-01-01 10:00:00

[other.section]
value = true
"""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("$.id", Place(2, 6)),
        ("$.odd key", Place(3, 13)),
        ("$.many", Place(4, 8)),
        ("$.many[0]", Place(5, 3)),
        ("$.many[1]", Place(6, 3)),
        ("$.many[2][1]", Place(6, 14)),
        ("$.table.a", Place(8, 15)),
        ("$.table.b.c", Place(8, 24)),
        ("$.long", Place(9, 8)),
        ("$.rules[0]", Place(12, 1)),
        ("$.rules[0].id", Place(13, 6)),
        ("$.rules[1].id", Place(16, 6)),
        ("$.rules[1].inner.deep", Place(18, 10)),
        ("$.other.section.value", Place(21, 9)),
        # What is not there is told where it should be.
        ("$.rules[1].label", Place(15, 1)),
        ("$.rules[1].kinds[2]", Place(15, 1)),
        ("$.many[7]", Place(4, 8)),
        ("$", Place(1, 1)),
        ("$.nothing", Place(1, 1)),
    ],
)
def test_a_value_is_found_where_it_stands(path, place):
    assert Places(TEXT).of(path) == place


def test_a_field_that_should_not_be_there_is_told_at_its_name():
    assert Places(TEXT).of("$.rules[1]", "id") == Place(16, 1)
    assert Places(TEXT).of("$", "many") == Place(4, 1)


def test_json_is_walked_over_as_well():
    text = '{"id": "x",\n "rules": [{"id": "a\\"]"}, {"id": "b"}]}'
    assert Places(text).of("$.rules[1].id") == Place(2, 35)
    assert Places(text).of("$.rules[1]") == Place(2, 28)


@pytest.mark.parametrize("text", ['"a\\u0062\\"" = 1', "{'a': 0,".replace("'", '"') + ' "a\\u0062\\"": 1}'])
def test_a_key_with_escapes_is_found_by_what_it_says(text):
    assert Places(f"\n\n{text}").of("$", 'ab"') == Place(3, text.index('"a\\') + 1)


def test_a_key_of_many_parts_takes_no_more_than_its_length():
    places = Places("id = 1\nx" + ".x" * 200_000 + " = 1")
    assert places.of("$.x") == Place(2, 1)
    assert len(repr(places)) < 100
    assert sum(map(len, places._values)) < 1_000  # noqa: SLF001  Each path would be longer than the last.


def test_many_places_are_told_without_counting_lines_again_for_each():
    text = "\n".join(f"a{number} = 1" for number in range(100_000))
    places = Places(text)
    for number in range(0, 100_000, 7):
        assert places.of(f"$.a{number}").line == number + 1


keys = st.text("abc_-", min_size=1, max_size=4)
leaves = st.integers() | st.booleans() | st.text(max_size=12) | st.sampled_from(list("#]\n\\"))
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)
)
tables = st.dictionaries(keys, values | st.lists(st.dictionaries(keys, leaves), max_size=3), max_size=5)


def leaves_of(value, path="$"):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves_of(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves_of(inner, f"{path}[{number}]")
    else:
        yield path, value


@given(tables, st.booleans(), st.booleans())
def test_every_value_of_any_document_is_found(table, is_json, multiline):
    text = json.dumps(table, indent=1) if is_json else tomli_w.dumps(table, multiline_strings=multiline)
    places, lines = Places(text), text.split("\n")
    for path, value in leaves_of(table):
        line, column = places.of(path)
        rest = "\n".join([lines[line - 1][column - 1 :], *lines[line:]])
        if isinstance(value, str):
            assert rest[0] in "\"'"
            # The same text begins there: its first letter, or its end, or an escape.
            bare = value.strip("\"'\n")
            assert not bare or rest.lstrip("\"'\n")[0] in {bare[0], "\\"} or value[0] in "\"'\n"
        else:
            assert rest.startswith(json.dumps(value))


@given(st.text("[]{}=\"'.,#\n ab1\\", max_size=60))
def test_no_text_whatever_breaks_it(text):
    place = Places(text).of("$.a[0].b")
    assert place.line >= 1
    assert place.column >= 1


def test_no_depth_breaks_it():
    assert Places("a = " + "[" * 50_000).of("$.a") == Place(1, 5)
