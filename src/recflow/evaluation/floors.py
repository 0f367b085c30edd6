"""The floors: rankers that need no training. A candidate below one is refused however it compares with yesterday's."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from recflow.domain.judged import JudgedQuery
from recflow.domain.lexical import words


class Bm25:
    """Okapi BM25 on titles (Robertson and Zaragoza 2009), k1 = 1.5, b = 0.75, idf = ln(1 + (N - n + 0.5)/(n + 0.5))."""

    def __init__(self, titles: Sequence[str], *, k1: float = 1.5, b: float = 0.75) -> None:
        documents = [words(title) for title in titles]
        self._k1, self._b, self._size = k1, b, len(documents)
        self._frequency = Counter(word for document in documents for word in set(document))
        self._mean_length = max(1e-9, sum(map(len, documents)) / max(1, len(documents)))

    def score(self, query: str, titles: Sequence[str]) -> list[float]:
        """One score a title."""
        asked = words(query)
        return [self._score(asked, words(title)) for title in titles]

    def _score(self, asked: Sequence[str], title: Sequence[str]) -> float:
        counts = Counter(title)
        norm = self._k1 * (1 - self._b + self._b * len(title) / self._mean_length)
        return sum(self._idf(word) * counts[word] * (self._k1 + 1) / (counts[word] + norm) for word in asked)

    def _idf(self, word: str) -> float:
        found = self._frequency[word]
        return math.log(1 + (self._size - found + 0.5) / (found + 0.5))


def cosines(queries: Sequence[JudgedQuery], vectors: dict[str, np.ndarray]) -> list[list[float]]:
    """The cosine of query and title for each item of each query, from vectors of length 1 by text."""
    return [[float(vectors[title] @ vectors[query.query]) for title in query.titles] for query in queries]


def floor_texts(queries: Sequence[JudgedQuery]) -> list[str]:
    """Every distinct text that `cosines` needs a vector of."""
    return list(dict.fromkeys(text for query in queries for text in (query.query, *query.titles)))
