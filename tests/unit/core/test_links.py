"""Which places a text names, however they are written, and which rules that concerns."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.links import LINKS_MAX, domain_of, domains_of, is_of, links_of
from streams.core.normalise import fold


def hosts(text):
    return [link.host for link in links_of(fold(text).text)]


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("see http://example.com/a?b=c#d", "example.com"),
        ("HTTPS://EXAMPLE.COM.", "example.com"),
        ("www.example.com", "www.example.com"),
        ("(example.com)", "example.com"),
        ("hxxp://example.com", "example.com"),
        ("hxxps[://]example[.]com", "example.com"),
        ("example (dot) com", "example.com"),
        ("example[dot]com/x", "example.com"),
        ("http://example\u3002com", "example.com"),
        ("http：//ｅｘａｍｐｌｅ．ｃｏｍ", "example.com"),
        ("exam\u200bple.com", "example.com"),
        ("http://xn--e1afmkfd.xn--p1ai", "пример.рф"),
        ("http://ПРИМЕР.рф/путь", "пример.рф"),
        ("http://user:pass@example.com:8080/x", "example.com"),
        ("a,b,http://example.com,c", "example.com"),
        ("http://127.0.0.1:80/", "127.0.0.1"),
        ("http://localhost/x", "localhost"),
        ("**example.com/x**", "example.com"),
        ("!example.com/x", "example.com"),
        ("~example.com/x", "example.com"),
        ("#example.com", "example.com"),
        ("•example.com/x", "example.com"),
        ("👉example.com👈", "example.com"),
        ("→example.com/x", "example.com"),
        ("link=example.com/x", "example.com"),
        ("a=1&link=example.com", "example.com"),
        ("//example.com/x", "example.com"),
        ("https:///example.com/x", "example.com"),
        ("https:/example.com/x", "example.com"),
        ("https://👉example.com/x", "example.com"),
        ("看example.com/x看", "example.com"),
        ("看example.com看", "example.com"),
        ("ดูexample.comนะ", "example.com"),
        ("हिन्दी.भारत/x", "हिन्दी.भारत"),
        ("http://übung.example", "übung.example"),
    ],
)
def test_a_link_is_found_however_it_is_written(text, host):
    assert host in hosts(text)


@pytest.mark.parametrize(
    "text", ["", "no link here.", "wait... what?", "1, 2, 3.", "a. b. c.", "://", ".com", "[.]"]
)
def test_ordinary_punctuation_is_no_link(text):
    assert hosts(text) == []


@pytest.mark.parametrize(
    "text",
    ["https://other.example/example.com", "~/example.com/x", "./example.com/x", "x/example.com", "a*b=c"],
)
def test_a_name_in_a_path_is_no_host(text):
    assert "example.com" not in hosts(text)


def test_a_name_beyond_ascii_is_not_cut():
    assert hosts("http://übung.example") == ["übung.example"]
    assert hosts("日本.example.com") == ["日本.example.com"]


@given(
    st.text("!*~#=&%→•👉»%$+", max_size=4),
    st.sampled_from(["", "http://", "https:/", "https:///"]),
    st.text("!*~#=&%→•👉»$+", max_size=4),
    st.sampled_from(["", "/", "/x", "?x", "👈", "*", "看", "!!"]),
)
def test_signs_around_a_link_hide_no_host(before, scheme, between, behind):
    assert "example.com" in hosts(f"{before}{scheme}{between}example.com{behind}")


def test_whoever_is_named_before_an_at_sign_does_not_hide_the_host_behind_it():
    assert hosts("http://bank.example@evil.example/") == ["bank.example", "evil.example"]


def test_links_that_are_glued_together_are_two():
    assert [link.is_plain for link in links_of("http://a.example/http://b.example")] == [True, True]


def test_a_slip_of_the_keyboard_is_no_plain_link():
    (link,) = links_of("the end.next one")
    assert not link.is_plain


def test_a_subdomain_is_of_its_domain_and_a_lookalike_is_not():
    domains = domains_of(["Example.com"])
    assert is_of("a.b.example.com", domains, subdomains=True)
    assert not is_of("a.example.com", domains, subdomains=False)
    assert not is_of("badexample.com", domains, subdomains=True)
    assert not is_of("example.com.evil.test", domains, subdomains=True)


@pytest.mark.parametrize(
    "written", ["http://a.example", "a b.example", "localhost", "", "a.example/x", "@a.example"]
)
def test_what_is_no_domain_is_not_taken_for_one(written):
    assert domain_of(written) == ""


@given(st.text("ab.:/@[]()-dot xn", max_size=60) | st.text(max_size=60))
def test_any_text_has_links_or_none_and_never_too_long_hosts(text):
    for link in links_of(fold(text).text):
        assert 0 < len(link.host) <= 253


label = st.text("abcdefgh0123", min_size=1, max_size=10)


@given(
    st.lists(label, min_size=2, max_size=4).map(".".join), st.sampled_from(["http://", "hxxps://", "www."])
)
def test_a_domain_is_found_defanged_as_well_as_plain(domain, begin):
    for text in (begin + domain, begin + domain.replace(".", "[.]"), begin + domain.replace(".", " (dot) ")):
        assert any(is_of(host, frozenset([domain]), subdomains=True) for host in hosts(text))


@pytest.mark.parametrize(
    "unit",
    [
        "http://a ",
        "://",
        "a.b@",
        "[.]",
        "xn--a.b ",
        "a.",
        "http://",
        "a.b:c.d:",
        "看a.b看=",
        "=a.b",
        "*",
        "👉a.b",
    ],
)
def test_however_many_links_there_are_no_more_are_looked_at_than_may_be_counted(unit):
    text = unit * (65_536 // len(unit))
    began = time.process_time()
    assert len(links_of(text)) <= LINKS_MAX
    # Seen: 7 ms at most. Quadratic work on so many takes minutes.
    assert time.process_time() - began < 0.5
