"""Which texts say the same: equal but for case, width, markup, punctuation and spaces."""

import hashlib
import unicodedata

from recflow.domain.text import normalise

# C++ is not C, and a phone's S20+ is not its S20.
_TELLING = "+#"


def near_duplicate_key(text: str) -> str:
    """128 bits in hex that near duplicates share; empty for a text of punctuation or pictures, which equals none."""
    told = "".join(char if _is_told(char) else " " for char in normalise(text).casefold())
    tokens = " ".join(told.split())
    return hashlib.sha256(tokens.encode()).hexdigest()[:32] if tokens else ""


def _is_told(char: str) -> bool:
    return unicodedata.category(char)[0] in "LNM" or char in _TELLING
