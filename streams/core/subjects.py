"""What rules look at: a post's text in its forms, and what is known beside the text.

Everything but the text and the kind may be unknown, as where a rule is tried on an example: then what needs
it finds nothing.
"""

from __future__ import annotations

from schemas.event import Event, Kind
from streams.core.flooding import FloodMeter
from streams.core.forms import Forms
from streams.core.links import Link, links_of


class Subject:
    """One post, as rules see it."""

    __slots__ = ("_links", "at_ms", "author", "digest", "forms", "kind", "meter", "tenant")

    def __init__(
        self,
        text: str,
        kind: Kind = "moderate",
        author: str = "",
        tenant: str = "default",
        digest: str = "",
        at_ms: int = 0,
        meter: FloodMeter | None = None,
    ) -> None:
        self.kind = kind
        self.author = author
        self.tenant = tenant
        self.digest = digest
        """The content digest; empty where it is not known."""
        self.at_ms = at_ms
        """The record's timestamp."""
        self.meter = meter
        """Of the record's partition; None where authors are not counted."""
        self.forms = Forms(text)
        """The text as rules compare it, each form made when it is first asked for."""
        self._links: list[Link] | None = None

    def __repr__(self) -> str:
        return f"<Subject {self.kind}, {len(self.forms.text)} characters>"

    @property
    def links(self) -> list[Link]:
        """The links in it."""
        if self._links is None:
            self._links = links_of(self.forms.folded.text)
        return self._links


def subject_of(event: Event, *, digest: str = "", at_ms: int = 0, meter: FloodMeter | None = None) -> Subject:
    """An event as rules see it."""
    return Subject(event.text, event.kind, event.author, event.tenant, digest, at_ms, meter)
