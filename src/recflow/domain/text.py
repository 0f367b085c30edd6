"""Text rules shared by training and serving. Standard library only: this file is copied into every package by digest.

What the model reads of a product is decided here and nowhere else, so that training and serving cannot differ.
"""

import html
import re
import unicodedata

# Eight rounds undo every nesting that a broken exporter makes; deeper nesting is hostile and costs no more than this.
_MAX_ROUNDS = 8
_TAG = re.compile(r"</?[A-Za-z!][^<>]{0,300}>")
_PLAIN = re.compile(r"[!-%'-;=?-~]+(?: [!-%'-;=?-~]+)*")
_NO_MARKUP = str.maketrans("<>&", "   ")


def normalise(text: str) -> str:
    """NFKC, no HTML, no control characters, single spaces, trimmed. Idempotent; case is left to the tokenizer.

    Zero-width and other format characters vanish, so that a word they cut is whole again. Escapes are undone however
    deep they are nested (`&amp;amp;lt;`).
    """
    if _PLAIN.fullmatch(text):
        return text
    for _ in range(_MAX_ROUNDS):
        cleaned = _clean(text)
        if cleaned == text:
            return text
        text = cleaned
    return _clean(_clean(text.translate(_NO_MARKUP)))


def _clean(text: str) -> str:
    text = unicodedata.normalize("NFKC", _TAG.sub(" ", html.unescape(text)))
    return " ".join("".join(map(_visible, text)).split())


def _visible(char: str) -> str:
    category = unicodedata.category(char)
    if category[0] != "C":
        return char
    return "" if category == "Cf" else " "


def query_key(query: str) -> str:
    """What makes two queries the same one: normalised, lower case."""
    return normalise(query).casefold()
