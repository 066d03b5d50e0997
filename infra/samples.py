"""Labelled samples: posts of which a person said what should become of them, and a policy's score on them.

A sample is JSON lines of `{"text", "truth", "sort"}`; `truth` is `ok` for what may stay, or the label of the
policy that it carries; `sort` names the kind of post, for the make-up. The one that Penstock brings along was
written for it (policies/sample.md says how); nobody ever posted any of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

import policies
from infra.errors import ExitCode, Failure
from schemas.event import Moderate
from schemas.verdict import Action
from streams.core.digest import content_digest
from streams.core.rules import CompiledPolicy
from streams.core.triage import Decided, triage

OK = "ok"
_SAMPLE_BYTES_MAX = 64 << 20


class Post(msgspec.Struct, frozen=True):
    """One post, and the truth about it."""

    text: str
    truth: str
    sort: str = ""
    author: str = ""
    context: dict[str, str] = msgspec.field(default_factory=dict)


class Score(NamedTuple):
    """What a policy does on a sample."""

    posts: int
    decided: tuple[tuple[Post, Decided], ...]
    by_sort: dict[str, tuple[int, int]]
    """Of each sort how many there are, and how many are decided."""

    @property
    def share(self) -> float:
        """How much is decided."""
        return len(self.decided) / self.posts if self.posts else 0.0

    def count(self, action: Action) -> int:
        """How many were decided so."""
        return sum(one.action == action for _, one in self.decided)

    @property
    def wrong_allows(self) -> list[tuple[Post, Decided]]:
        """Harm that is let through."""
        return [(post, one) for post, one in self.decided if one.action == "allow" and post.truth != OK]

    @property
    def wrong_blocks(self) -> list[tuple[Post, Decided]]:
        """What may stay, and is blocked."""
        return [(post, one) for post, one in self.decided if one.action == "block" and post.truth == OK]

    @property
    def wrong_labels(self) -> list[tuple[Post, Decided]]:
        """What may stay, and is labelled or sent to a person."""
        return [
            (post, one)
            for post, one in self.decided
            if one.action in {"label", "review"} and post.truth == OK
        ]

    @property
    def wrong(self) -> list[tuple[Post, Decided]]:
        """All of these."""
        return [*self.wrong_blocks, *self.wrong_allows, *self.wrong_labels]

    def told(self) -> Iterator[str]:
        """The score as lines."""
        actions = Counter(one.action for _, one in self.decided)
        told = ", ".join(f"{action} {count}" for action, count in sorted(actions.items()))
        yield f"decided {len(self.decided)} of {self.posts} posts, {self.share:.1%} ({told})"
        yield f"wrong blocks {len(self.wrong_blocks)}"
        yield f"wrong allows {len(self.wrong_allows)}"
        yield f"wrong labels and reviews {len(self.wrong_labels)}"
        for sort, (count, decided) in sorted(self.by_sort.items()):
            yield f"  {sort or 'unsorted'}: {decided} of {count}"


def default_sample_path() -> Path:
    """The sample that Penstock brings along."""
    return Path(policies.__file__).parent / "sample.jsonl"


def read_sample(path: Path) -> list[Post]:
    """The posts of a file, or a `Failure`."""
    try:
        if path.stat().st_size > _SAMPLE_BYTES_MAX:
            raise Failure(
                f"The sample {path} is larger than {_SAMPLE_BYTES_MAX} bytes.", exit_code=ExitCode.USAGE
            )
        data = path.read_bytes()
    except OSError as error:
        raise Failure(
            f"The sample {path} cannot be read: {error.strerror}.", exit_code=ExitCode.USAGE
        ) from None
    decode = msgspec.json.Decoder(Post).decode
    posts: list[Post] = []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            posts.append(decode(line))
        except (msgspec.DecodeError, ValueError) as error:
            raise Failure(f"The sample {path}, line {number}: {error}.", exit_code=ExitCode.USAGE) from None
    return posts


def scored(compiled: CompiledPolicy, posts: Sequence[Post]) -> Score:
    """Let a policy decide on all posts, each by itself."""
    decided: list[tuple[Post, Decided]] = []
    for number, post in enumerate(posts):
        event = Moderate(v=1, id=str(number), text=post.text, author=post.author, context=post.context)
        decision = triage(event, compiled, digest=content_digest(event, secret=b"", scope="tenant"))
        if isinstance(decision, Decided):
            decided.append((post, decision))
    sorts, hits = Counter(post.sort for post in posts), Counter(post.sort for post, _ in decided)
    return Score(len(posts), tuple(decided), {sort: (count, hits[sort]) for sort, count in sorts.items()})
