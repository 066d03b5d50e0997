"""The links of a folded text, and whether they lead where a rule says: each host once per mention.

Written to be read by people counts as written to be clicked: `hxxp://`, `example[.]com` and `example (dot)
com` are links, and a host in punycode is the host that it stands for. Nothing here resolves or fetches.
Linear: a text is cut at blanks and delimiters, and every piece is looked at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from streams.core.normalise import fold
from streams.core.words import UNSPACED

HOST_CHARACTERS_MAX = 253
"""Of a name in the DNS; what is longer leads nowhere."""
_LABEL_CHARACTERS_MAX = 63

LINKS_MAX = 1_000
"""Links of a text that are looked at: as many as a rule may count."""

_DOTTED = re.compile(r"\.\w")
_BRACKETED_DOT = re.compile(r" ?[\[({] ?(?:\.|dot) ?[\])}] ?")
_BRACKETED_SLASHES = re.compile(r"\[(:|://|/)\]")
# What cannot be within a link: quotes, and the brackets and signs that people put around links.
_PIECE = re.compile(r"[^<>\"'(){}\[\],;|\\`^\u00ab\u00bb\u2018-\u201f\u3001\u3008-\u3011]+")
# Arrows, bullets, pictures, and other signs beyond ASCII: no host has one, and people put links beside them.
_SYMBOLS = (
    "\u00a1-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb-\u00bf\u2010-\u2bff\u3003\u3004\u3008-\u3020\u3030"
    "\U0001f000-\U0001faff"
)
_BEFORE_HOST = re.compile(f"[?#&%=!*~$+{_SYMBOLS}]+")
_BEFORE_HOST_OF_SCHEME = re.compile(f"[/?#&%=!*~$+{_SYMBOLS}]+")
# Before an `@` stands who logs in, behind a colon the port, before `=` what a link is called.
_PARTS_OF_AUTHORITY = re.compile(f"[@:&%=!*~{_SYMBOLS}]")
_PATH = re.compile(r"[/?#]")
_ONE_SLASH = re.compile(r"\b(https?|hxxps?|ftps?):/(?!/)")
# `看example.com`: where no spaces are put, none stand around links.
_GLUED = re.compile(f"^[{UNSPACED}]+(?=[a-z0-9])|(?<=[a-z0-9])[{UNSPACED}]+$")
_SCHEMES = ("http", "https", "hxxp", "hxxps", "ftp", "ftps")


class Link(NamedTuple):
    """A place that a text names."""

    host: str
    """In the letters that a reader sees, never in punycode."""
    is_plain: bool
    """Whether it is plainly a link, by a scheme, `www.` or a path; else it may be a slip like `end.Next`."""


def links_of(folded: str) -> list[Link]:
    """The links, in their order; at most `LINKS_MAX`."""
    readable = _refanged(folded)
    # Cheap looks, which most posts do not pass; one character is found many times as fast as several.
    has_scheme = ":" in readable and "://" in readable
    if not has_scheme and ("." not in readable or _DOTTED.search(readable) is None):
        return []
    return list(islice(_each_link(readable), LINKS_MAX))


def is_of(host: str, domains: frozenset[str], *, subdomains: bool) -> bool:
    """Whether a host is one of the domains, or below one."""
    if host in domains:
        return True
    if not subdomains:
        return False
    _, _, parent = host.partition(".")
    while parent:
        if parent in domains:
            return True
        _, _, parent = parent.partition(".")
    return False


def domain_of(written: str) -> str:
    """A domain of a rule in the form that hosts are compared in; empty if it is none."""
    links = links_of(fold(written.strip().strip(".")).text)
    if len(links) != 1 or links[0].host != _host_of(fold(written.strip().strip(".")).text):
        return ""
    return links[0].host


def domains_of(written: Iterable[str]) -> frozenset[str]:
    """The domains of a rule, to be asked with `is_of`."""
    return frozenset(domain_of(domain) for domain in written) - {""}


def _each_link(readable: str) -> Iterator[Link]:
    for word in readable.split():
        if word.find(".", 1, -1) > 0 or "://" in word:
            for piece in _PIECE.findall(word):
                yield from _links_in(piece)


def _refanged(folded: str) -> str:
    """The text with its links as they would be clicked."""
    if "[" in folded or "(" in folded or "{" in folded:
        folded = _BRACKETED_SLASHES.sub(r"\1", _BRACKETED_DOT.sub(".", folded))
    if ":/" in folded:
        folded = _ONE_SLASH.sub(r"\1://", folded)
    return folded.replace("\u3002", ".")


def _links_in(piece: str) -> Iterator[Link]:
    """The links of a piece without blanks: usually one at most, but they may be glued together."""
    has_scheme = False
    for part in piece.split("://"):
        before = (_BEFORE_HOST_OF_SCHEME if has_scheme or part.startswith("//") else _BEFORE_HOST).match(part)
        named = part[before.end() :] if before else part
        path = _PATH.search(named)
        head = named if path is None else named[: path.start()]
        # Each part of an authority may be made to look like the host.
        for candidate in _PARTS_OF_AUTHORITY.split(head):
            host = _host_of(candidate)
            if "." in host:
                yield Link(host, has_scheme or host.startswith("www.") or path is not None)
                if not host.isascii() and (inner := _host_of(_GLUED.sub("", host))) != host and "." in inner:
                    yield Link(inner, is_plain=False)
            elif has_scheme and host and len(host) <= _LABEL_CHARACTERS_MAX and not candidate.isdigit():
                yield Link(host, is_plain=True)
        has_scheme = part.endswith(_SCHEMES)


def _host_of(candidate: str) -> str:
    """A host in the form in which hosts are compared; empty if it cannot be one."""
    host = candidate.strip(".-_…+$")
    if not host or len(host) > HOST_CHARACTERS_MAX or ".." in host:
        return ""
    return _unpunycoded(host) if "xn--" in host else host


@lru_cache(maxsize=1_024)
def _unpunycoded(host: str) -> str:
    return ".".join(_label_of(label) for label in host.split("."))


def _label_of(label: str) -> str:
    if not label.startswith("xn--") or len(label) > _LABEL_CHARACTERS_MAX:
        return label
    try:
        return fold(label.removeprefix("xn--").encode("ascii").decode("punycode")).text
    except (UnicodeError, ValueError, OverflowError):
        return label
