"""Whether a term means its signs: `a$$` and `c++` are other words without them, `buy-now!` is not.

As whole words terms lose their signs. That is what most authors want, and found what nobody wanted where a
sign stands for a letter, or is what tells a word from a shorter one.
"""

from __future__ import annotations

import re
from unicodedata import category

from streams.core.normalise import fold
from streams.core.words import words_form

# Beside a letter or a digit: read as a letter (`a$$`), or put for one (`f*ck`). An exclamation mark ends a
# word, so it is meant where one goes on; a plus or a hash behind a word is its name's (`c++`), one before it
# is a tag's (`#metoo`).
_MEANT = re.compile(r"[@$*|€£¢¥§][^\W_]|[^\W_][@$*|€£¢¥§]|![^\W_]|[^\W_][+#]")


def words_without_signs(term: str) -> str:
    """What is left of a term as whole words, where that is something else; empty where it is not."""
    folded = fold(term).text.strip()
    left = words_form(folded).strip()
    loses = left != " ".join(folded.split())
    if not loses:
        return ""
    is_picture = any(category(char) == "So" for char in folded)
    return left if _MEANT.search(folded) or is_picture or len(left) == 1 else ""
