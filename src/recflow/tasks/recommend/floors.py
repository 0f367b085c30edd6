"""Recommending's floors: rankers that need no training, made of what train acted on, or of what items are called."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from recflow.config.tasks import section_as
from recflow.domain.answers import Chosen
from recflow.domain.lexical import words
from recflow.tasks.base import Basis, Floors
from recflow.tasks.recommend.catalogue import Catalogue
from recflow.tasks.recommend.histories import read_histories
from recflow.tasks.recommend.judged import SHOWN, JudgedUser
from recflow.tasks.recommend.neighbours import NeighbourRule, find_neighbours
from recflow.tasks.recommend.options import RecommendTraining

Scores = Callable[[np.ndarray], np.ndarray]
"""From the codes of a history to one score an item; 0 for what nothing speaks for."""

_KNN = NeighbourRule(window=1000, decay=1.0, backwards=1.0, damping=0.5, neighbour_damping=0.5, kept=100)


class RecommendFloors(Floors[JudgedUser, Chosen]):
    """What most turn to; what was turned to beside the history's items; items whose texts have the words of theirs.

    What a model must not show they do not show either. Of items that nothing speaks for the popular ones come first.
    """

    def given(self, name: str, basis: Basis, examples: Sequence[JudgedUser]) -> list[Chosen]:
        """Ten items a user."""
        if not examples:
            return []
        catalogue, options = examples[0].known.catalogue, section_as(basis.recipe.training, RecommendTraining)
        codes = {item: code for code, item in enumerate(catalogue.ids.to_pylist())}
        floor = _Floor(catalogue, codes, options, _scores(name, basis, catalogue))
        return [floor.chosen(user) for user in examples]


def _scores(name: str, basis: Basis, catalogue: Catalogue) -> Scores:
    if name == "item_knn":
        found = find_neighbours(read_histories(basis.dataset, "train", catalogue, ()), len(catalogue), _KNN)
        return lambda seen: np.bincount(
            found.items[seen].ravel(), found.weights[seen].ravel(), minlength=len(catalogue)
        )
    if name == "untrained":
        return Wordings(catalogue.texts).scores
    return lambda _: np.zeros(len(catalogue))


@dataclass(frozen=True)
class _Floor:
    catalogue: Catalogue
    codes: Mapping[str, int]
    options: RecommendTraining
    scores: Scores

    def chosen(self, user: JudgedUser) -> Chosen:
        seen = self._codes(user.history)
        allowed = self.catalogue.available.copy()
        allowed[self._codes(self.options.banned)] = False
        if self.options.exclude_seen:
            allowed[seen] = False
        left, scores = np.flatnonzero(allowed), self.scores(seen)
        best = left[np.lexsort((-self.catalogue.interactions[left], -scores[left]))][:SHOWN]
        return [(self.catalogue.ids[int(code)].as_py(), float(scores[code])) for code in best], True

    def _codes(self, items: Sequence[str]) -> np.ndarray:
        return np.array([self.codes[item] for item in items if item in self.codes], dtype=np.int64)


class Wordings:
    """The cosine of an item's words with those of a history, each weighed by how few items have it (tf-idf)."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._words = [words(text) for text in texts]
        having: dict[str, list[int]] = defaultdict(list)
        for code, found in enumerate(self._words):
            for word in set(found):
                having[word].append(code)
        self._having = {word: np.array(codes) for word, codes in having.items()}
        self._rarity = {word: log(1 + len(texts) / len(codes)) for word, codes in having.items()}
        squares = [sum(self._rarity[word] ** 2 for word in set(found)) for found in self._words]
        self._lengths = np.sqrt(np.maximum(squares, 1e-9))

    def scores(self, seen: np.ndarray) -> np.ndarray:
        """One score an item, up to a factor of the history's own."""
        found = np.zeros(len(self._words))
        for code in seen.tolist():
            for word in set(self._words[code]):
                found[self._having[word]] += self._rarity[word] ** 2 / self._lengths[code]
        return found / self._lengths
