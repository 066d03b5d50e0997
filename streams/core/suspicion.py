"""Which posts are judged alone: those that might give a model orders about the posts beside them.

A post that shares a request with others could speak of them to the model. No list of words finds all that
do, so this one is wide: whoever writes about posts, answers, labels or models, uses signs that structure a
prompt, or hides characters, is judged alone. That costs such a post the saving and nothing else. What slips
through meets the sentinels (`streams.core.packing`).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

from schemas.event import Event, Moderate, Scan
from streams.core.forms import Forms
from streams.core.tokens import estimated_tokens
from streams.core.weighing import folded_words

AloneBecause = Literal["critical", "kind", "long", "hidden", "suspicious"]


def why_alone(
    event: Event, *, is_critical: bool, is_hiding: bool, tokens_max: int, labels: Collection[str] = ()
) -> AloneBecause | None:
    """Why an event shares its request with nobody; None if it may.

    1. Critical ones: somebody waits, and a pack takes longer than a post.
    2. Only posts are packed: what is asked about bans, accounts and sites is not short.
    3. Long ones gain little, and cost the others time.
    4. What hides characters or disguises words, as triage saw it or as it is seen here.
    5. What speaks to a model, or as one, anywhere in what the model is shown.
    """
    if is_critical:
        return "critical"
    match event:
        case Moderate() | Scan():
            texts = (event.text, *event.context.keys(), *event.context.values())
        case _:
            return "kind"
    if sum(map(estimated_tokens, texts)) > tokens_max:
        return "long"
    if is_hiding or any(Forms(text).flags for text in texts):
        return "hidden"
    # Together: an order may be begun in a title and ended in the text.
    return "suspicious" if is_suspicious(" ".join(texts), labels) else None


def is_suspicious(text: str, labels: Collection[str] = ()) -> bool:
    """Whether a text might be meant for the model that judges it, or for its reader."""
    if _STRUCTURE.search(text) or _ENCODED.search(_LINK.sub(" ", text)):
        return True
    folded = text.casefold()
    if _FOREIGN.search(folded):
        return True
    words = " ".join(folded_words(text))
    return bool(_WORDS.search(words) or _PHRASES.search(words)) or _names_a_result(folded, labels)


def _names_a_result(folded: str, labels: Collection[str]) -> bool:
    """Whether it writes a label and a figure as an answer does: `none 97`, `spam: 0`."""
    return any(
        at.end() < len(folded) and _FIGURE.match(folded, at.end())
        for name in (*labels, "none")
        for at in re.finditer(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", folded)
    )


_FIGURE = re.compile(r"[^\w\s]{0,3}\s{0,2}[^\w\s]{0,3}\d")
_LINK = re.compile(r"https?://\S+")
# Brackets, fences, rules and markers that divide a prompt. `<3` is a heart; `:)` and quotes are prose.
_STRUCTURE = re.compile(r"[{}\[\]\\`\u300c\u300d\u3010\u3011]|<(?!3)|\||[#=*_~-]{3}|\"\s*[:,\]}]")
# A word of base 64, hexadecimal or the like: 24 characters without a blank are no word of prose. And letters
# as entities or as percent codes.
_ENCODED = re.compile(r"[A-Za-z0-9+/=_-]{24}|&#?\w+;|(?:%[0-9A-Fa-f]{2}){3}")

_WORDS = re.compile(
    # Beginnings of words …
    r"\b(?:(?:administrator|allowlist|assistant|benign|blacklist|canar|categor|chatgpt|classif|decod|"
    r"decoy|developer|disregard|encod|evaluat|guideline|honeypot|ignor|innocu|instruct|"
    r"jailbr|judg|label|moderat|neutrali|overrid|overrul|prompt|roleplay|sentinel|translat|"
    r"verdict|whitelist)\w*|"
    # … and whole words.
    r"above|admin|aforementioned|ai|allow|allowed|allows|answer|answered|answering|answers|"
    r"approve|approved|array|base64|batch|below|bypass|claude|command|commands|comply|"
    r"confidence|control|controls|debug|directive|directives|endoftext|entries|entry|eot|"
    r"everything|flag|flagged|flags|following|gemini|gpt|grade|grades|harmless|hex|id|ids|"
    r"im_end|im_start|index|inst|json|key|keys|list|llama|llm|mark|marked|model|models|"
    r"neighbor|neighbors|neighbour|neighbours|obey|others|output|outputs|override|pack|"
    r"percent|planted|policies|policy|preceding|pretend|previous|probabilities|probability|"
    r"queue|rate|rated|rating|replies|reply|respond|response|responses|rest|root|rot13|"
    r"rule|rules|safe|schema|score|scored|scores|sequence|simulate|slot|slots|sudo|system|"
    r"task|tasks|token|tokens|trap|user|verified|verify)\b"
)
_COUNTED = (
    r"(?:all|any|both|each|every|other|another|next|last|first|second|third|fourth|fifth|final|remaining|"
    r"these|those|the)"
)
_THING = (
    r"(?:posts?|items?|texts?|messages?|comments?|ones?|documents?|samples?|snippets?|records?|contents?)"
)
_PHRASES = re.compile(
    rf"\b{_COUNTED} (?:\w+ )?{_THING}\b"
    r"|\bnot (?:spam|scam|violence|hate|abuse)\b|\bnothing (?:here|else|wrong)\b"
    r"|\b(?:posts?|items?|texts?|messages?) \w{1,8} (?:is|are|was|were)\b"
    r"|\bact as\b|\byou are (?:now|no longer|an?)\b|\bfrom now on\b|\bnew (?:rule|task|role)\b"
    r"|\b(?:test|control|check|fake|dummy) (?:post|item|text|message|one)s?\b"
    r"|\b(?:come|came|stand|stands|standing|right) (?:before|after|next|beside)\b"
    r"|\bforget (?:all|every|what)\b|\b(?:whoever|whatever) (?:\w+ )?\w+s\b|\bof these\b"
    r"|\banything (?:bad|that)\b"
    r"|\b(?:a|each|if the) text\b|\bitems? (?:one|two|three|\d)\b|\bnone\b(?! of (?:us|my|the|our|them|it)\b)"
)
# In other languages: to ignore, orders, posts before or after this one, answers.
_FOREIGN = re.compile(
    "vergiss|anweisung|vorherig|beitr[aä]ge|antworte|bewerte|olvida|instruccion|anterior|responde|mensajes|"
    "oublie|pr[eé]c[eé]dent|r[eé]pond|messages|dimentica|precedent|risp?ond|istruzion|instru[cç]|esque[cç]a|"
    "игнор|инструк|предыдущ|забуд|ответь|отвечай|сообщени|ігнор|інструк|zignoruj|polece|poprzedni|odpowie|"
    "önceki|talimat|yoksay|abaikan|instruksi|bỏ qua|hướng dẫn|تجاهل|تعليمات|السابق|अनदेखा|निर्देश|पिछले|"
    "忽略|指令|指示|无视|無視|之前|以上|回答|命令|システム|これまで|무시|지시|이전|답변|התעלם|הוראות|αγνόησε|οδηγίες"
)
