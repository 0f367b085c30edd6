"""Text rules shared by training and serving. Standard library only: this file is copied into every package by digest.

What the model reads of a product is decided here and nowhere else, so that training and serving cannot differ.
"""

import html
import re
import unicodedata

_TAG = re.compile(r"<[^<>]{1,200}>")
_SPACE = re.compile(r"\s+")


def normalise(text: str) -> str:
    """NFKC, no HTML, no control characters, single spaces, trimmed. Idempotent; case is left to the tokenizer."""
    text = html.unescape(_TAG.sub(" ", html.unescape(text)))
    text = unicodedata.normalize("NFKC", text)
    text = "".join(" " if unicodedata.category(char)[0] == "C" else char for char in text)
    return _SPACE.sub(" ", text).strip()


def query_key(query: str) -> str:
    """What makes two queries the same one: normalised, lower case."""
    return normalise(query).casefold()


_DESCRIPTION_CHARACTERS = 1_000


def described(title: str, description: str) -> str:
    """Title and description as the one text that the encoder reads; only the title where there is no description."""
    return f"{title}. {description[:_DESCRIPTION_CHARACTERS]}" if description else title
