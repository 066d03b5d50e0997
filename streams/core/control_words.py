"""The words by which chat templates part a conversation, kept from ever standing in what a node is shown.

A tokenizer may read them wherever they stand, and a post could end its own turn with one and begin another's.
"""

from __future__ import annotations

import re

# The beginnings of <|im_end|>, </s>, <start_of_turn>, [INST], [TOOL_CALLS] and their like; DeepSeek has
# the bar in full width.
_CONTROL = re.compile(
    r"<(?=[|\uff5c]|/?(?:s|bos|eos|unk|pad)>|/?think|start_of_|end_of_|extra_id_)"
    r"|\[(?=/?(?:INST|SYS|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_[A-Z]+|THINK|ARGS|CALL_ID)\])"
)


def escaped(json: str) -> str:
    """JSON that says the same, without a control word: the first character of each by its number."""
    return _CONTROL.sub(_number_of, json) if "<" in json or "[" in json else json


def parted(text: str) -> str:
    """Plain text without a control word: a blank behind the first character of each."""
    return _CONTROL.sub(lambda found: f"{found[0]} ", text)


def _number_of(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
