"""What the model reads of an item: its text, and lexical features of query and title.

Standard library only: this file is copied into every model by digest.

No table of frequencies, no state: the same two texts give the same features in training, in a model and in a year.
Every feature lies in [0, 1]. Texts are expected to be normalised (domain/text.py).
"""

import re
from collections.abc import Sequence
from itertools import pairwise

NAMES = (
    "coverage",
    "bigram_coverage",
    "all_words",
    "precision",
    "last_word",
    "joined_trigrams",
    "trigram_jaccard",
    "accessory",
)
# Chinese, Japanese and Korean ideographs stand alone; everything else is split at what is no letter or digit.
_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")
_POSSESSIVE = re.compile(r"['’](s\b)?")
_WORDS_OF_GRAMMAR = frozenset("a an and for in of on the to with".split())
_PREPOSITIONS = frozenset(("for", "fit", "compatible"))
_MAX_WORDS = 64
_DESCRIPTION_CHARACTERS = 1_000


def described(title: str, description: str) -> str:
    """Title and description as the one text that the encoder reads; only the title where there is no description."""
    return f"{title}. {description[:_DESCRIPTION_CHARACTERS]}" if description else title


def words(text: str) -> list[str]:
    """Lower-case words without the plural's ending, at most 64."""
    return [_singular(word) for word in _WORD.findall(_POSSESSIVE.sub(r"\1", text.casefold()))[:_MAX_WORDS]]


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ses", "xes", "zes", "ches", "shes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def features(query: str, titles: Sequence[str]) -> list[list[float]]:
    """One row of len(NAMES) numbers a title."""
    asked = words(query)
    content = [word for word in dict.fromkeys(asked) if word not in _WORDS_OF_GRAMMAR] or list(dict.fromkeys(asked))
    if not content:
        return [[0.0] * len(NAMES) for _ in titles]
    pairs = set(pairwise(asked))
    joined = _trigrams("".join(asked))
    grams = set[str]().union(*map(_trigrams, content))
    return [_row(asked, content, pairs, joined, grams, words(title)) for title in titles]


def _row(
    asked: list[str],
    content: list[str],
    pairs: set[tuple[str, str]],
    joined: set[str],
    grams: set[str],
    title: list[str],
) -> list[float]:
    present = set(title)
    found = [word for word in content if word in present]
    coverage = len(found) / len(content)
    title_pairs = set(pairwise(title))
    title_grams = set[str]().union(*map(_trigrams, title))
    return [
        coverage,
        len(pairs & title_pairs) / len(pairs) if pairs else coverage,
        float(coverage == 1),
        sum(word in content for word in title) / len(title) if title else 0.0,
        float(content[-1] in present),
        len(joined & _trigrams("".join(title))) / len(joined),
        len(grams & title_grams) / len(grams | title_grams),
        float(_is_accessory(asked, found, title)),
    ]


def _is_accessory(asked: list[str], found: list[str], title: list[str]) -> bool:
    """Whether the asked words stand only behind a preposition: `case for galaxy phone`, asked for `galaxy phone`."""
    at = next((index for index, word in enumerate(title) if word in _PREPOSITIONS), None)
    return at is not None and "for" not in asked and bool(found) and min(map(title.index, found)) > at


def _trigrams(word: str) -> set[str]:
    padded = f"  {word} "
    return {padded[start : start + 3] for start in range(len(padded) - 2)}
