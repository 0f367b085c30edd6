"""Relevance's floors: rankers that need no training, fitted on what trains, or on nothing."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recflow.config.sections.training import TrainingSection
from recflow.config.tasks import section_as
from recflow.domain import bm25
from recflow.domain.judged import JudgedQuery
from recflow.domain.lexical import words
from recflow.errors import PermanentError
from recflow.tasks.base import Basis, Floors


class RelevanceFloors(Floors[JudgedQuery, Sequence[float]]):
    """BM25 on titles, the untrained base model's cosine, and acts on items."""

    def given(self, name: str, basis: Basis, examples: Sequence[JudgedQuery]) -> list[list[float]]:
        """One score an item of each query."""
        if name == "bm25":
            scorer = read_bm25(basis.dataset, examples)
            return [scorer.score(query.query, query.titles) for query in examples]
        return untrained(basis, examples) if name == "untrained" else popularity(basis.dataset, examples)


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
    rows = _read(dataset / "words.parquet", "word", asked) if asked else None
    found = dict(zip(rows["word"].to_pylist(), rows["titles"].to_pylist(), strict=True)) if rows else {}
    return Bm25(found, told["number"], told["mean_words"])


def popularity(dataset: Path, queries: Sequence[JudgedQuery]) -> list[list[float]]:
    """The acts on each item of each query, by queries that train."""
    items = sorted({item for query in queries for item in query.items})
    rows = _read(dataset / "popularity.parquet", "item_id", items)
    acts = dict(zip(rows["item_id"].to_pylist(), rows["acts"].to_pylist(), strict=True))
    return [[float(acts.get(item, 0)) for item in query.items] for query in queries]


def untrained(basis: Basis, queries: Sequence[JudgedQuery]) -> list[list[float]]:
    """The cosines of the recipe's base model as it is."""
    section, texts = section_as(basis.recipe.training, TrainingSection), floor_texts(queries)
    vectors = basis.encoders.encode(basis.encoders.base_folder(section.base_model), texts, section.max_tokens)
    return cosines(queries, dict(zip(texts, vectors, strict=True)))


def _read(path: Path, column: str, values: Sequence[str]) -> Any:
    import pyarrow.parquet as pq

    return pq.read_table(_made_of(path), filters=[(column, "in", values)])


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
