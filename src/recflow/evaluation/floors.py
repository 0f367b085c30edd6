"""The floors: rankers that need no training. A candidate below one is refused however it compares with yesterday's."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from recflow.domain import bm25
from recflow.domain.judged import JudgedQuery
from recflow.domain.lexical import words
from recflow.errors import PermanentError


@dataclass(frozen=True)
class Bm25:
    """BM25 on titles (`domain/bm25.py`): `found` says how many of the `number` titles that train have a word."""

    found: Mapping[str, int]
    number: int
    mean_words: float

    def score(self, query: str, titles: Sequence[str]) -> list[float]:
        """One score a title."""
        asked = words(query)
        return [self._score(asked, words(title)) for title in titles]

    def _score(self, asked: Sequence[str], title: Sequence[str]) -> float:
        counts, length = Counter(title), max(1e-9, self.mean_words)
        return float(sum(bm25.weight(self._idf(word), counts[word], len(title), length) for word in asked))

    def _idf(self, word: str) -> float:
        return math.log(bm25.odds(self.number, self.found.get(word, 0)))


def read_bm25(dataset: Path, queries: Sequence[JudgedQuery]) -> Bm25:
    """The floor as the data set's own words make it, as far as the queries ask for them."""
    asked = sorted({word for query in queries for word in words(query.query)})
    told = json.loads(_made_of(dataset / "titles.json").read_bytes())
    rows = pq.read_table(_made_of(dataset / "words.parquet"), filters=[("word", "in", asked)]) if asked else None
    found = dict(zip(rows["word"].to_pylist(), rows["titles"].to_pylist(), strict=True)) if rows else {}
    return Bm25(found, told["number"], told["mean_words"])


def popularity(dataset: Path, queries: Sequence[JudgedQuery]) -> list[list[float]]:
    """The acts on each item of each query, by queries that train."""
    items = sorted({item for query in queries for item in query.items})
    rows = pq.read_table(_made_of(dataset / "popularity.parquet"), filters=[("item_id", "in", items)])
    acts = dict(zip(rows["item_id"].to_pylist(), rows["acts"].to_pylist(), strict=True))
    return [[float(acts.get(item, 0)) for item in query.items] for query in queries]


def _made_of(path: Path) -> Path:
    if not path.exists():
        raise PermanentError(
            f"the data set of an earlier version of recflow has no {path.name}, which a floor is made of",
            expected=f"a data set with {path.name}",
            seen="none",
            action="clear build_dataset and what follows it",
        )
    return path


def cosines(queries: Sequence[JudgedQuery], vectors: dict[str, np.ndarray]) -> list[list[float]]:
    """The cosine of query and title for each item of each query, from vectors of length 1 by text."""
    return [[float(vectors[title] @ vectors[query.query]) for title in query.titles] for query in queries]


def floor_texts(queries: Sequence[JudgedQuery]) -> list[str]:
    """Every distinct text that `cosines` needs a vector of."""
    return list(dict.fromkeys(text for query in queries for text in (query.query, *query.titles)))
