"""What a node is asked about several posts at once; see `streams.core.questions` for one.

A request begins with the same bytes every time: the model and the system prompt. What depends on the posts
stands behind: the slots, and the schema, since it holds their ids.
"""

from __future__ import annotations

from typing import NamedTuple

from schemas.event import Kind
from schemas.policy import Policy
from streams.core.answers import names_offered
from streams.core.packing import HOW_TO_ANSWER, Pack, pack_schema, pack_tokens_max, shown
from streams.core.questions import rules_of
from streams.core.requests import OPENAI_DIALECT, Dialect, chat_body


class PackedTemplate(NamedTuple):
    """All of a request about several posts that does not depend on them."""

    model: str
    system: str
    names: tuple[str, ...]
    dialect: Dialect

    def body(self, pack: Pack) -> bytes:
        """The whole request. The slots, JSON within a JSON string, cannot close their own quotes."""
        return chat_body(
            self.model,
            self.system,
            self.dialect,
            tokens_max=pack_tokens_max(len(pack.slots)),
            schema=pack_schema(pack.ids, self.names),
            name="pack",
        ).around(shown(pack))


def packed_prompt_for(
    policy: Policy, kind: Kind, model: str, dialect: Dialect = OPENAI_DIALECT
) -> PackedTemplate:
    """Everything about a packed request that does not depend on the posts.

    The system prompt begins as the one for a single post does, so that an engine that caches prefixes by
    blocks shares most of it between the two. A pack says how likely its labels are in words, whatever the
    engine could tell: probabilities of tokens in the middle of others' answers are none of a post alone.
    """
    labels = tuple(label.name for label in policy.labels)
    system = f"{rules_of(policy, kind)}\n\n{HOW_TO_ANSWER}"
    return PackedTemplate(model, system, tuple(names_offered(kind, labels)), dialect._replace(top_logprobs=0))
