"""Features of a query's items, as training computes them: cosines of texts and lexical features."""

from collections.abc import Mapping, Sequence

import numpy as np

from recflow.domain import lexical
from recflow.domain.judged import JudgedQuery


def view_texts(query: JudgedQuery, view: str) -> list[str]:
    """The text of each item that a view encodes."""
    if view == "title":
        return list(query.titles)
    return [lexical.described(title, text) for title, text in zip(query.titles, query.descriptions, strict=True)]


def feature_names(views: Sequence[str]) -> list[str]:
    """The features of the score in their order: one cosine a view, then the lexical ones."""
    return [f"cosine_{view}" for view in views] + list(lexical.NAMES)


def texts_of(queries: Sequence[JudgedQuery], views: Sequence[str]) -> list[str]:
    """Every distinct text that the queries' features need a vector of."""
    items = (text for query in queries for view in views for text in view_texts(query, view))
    return list(dict.fromkeys([*(query.query for query in queries), *items]))


def features_of(query: JudgedQuery, views: Sequence[str], vectors: Mapping[str, np.ndarray]) -> np.ndarray:
    """The features (items, features) of a query from vectors by text."""
    asked = vectors[query.query]
    cosines = [[float(vectors[text] @ asked) for text in view_texts(query, view)] for view in views]
    return np.hstack([np.array(cosines).T, np.array(lexical.features(query.query, query.titles))])
