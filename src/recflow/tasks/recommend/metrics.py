"""Recommending as it is judged: numbers by user, None where the user cannot tell one model from another."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from recflow.domain.answers import Chosen
from recflow.domain.lexical import words
from recflow.tasks.base import ByUnit, Metric, Metrics
from recflow.tasks.recommend.judged import SHOWN, JudgedUser, read_judged

Rule = Callable[[Sequence[bool], int], float]
_SHORT = 5  # acts: fewer are a short history


class RecommendMetrics(Metrics[JudgedUser, Chosen]):
    """nDCG@10 first; slices by what is new, and of whom little is known.

    A user without a history cannot tell: whatever the model, such a user is shown what is popular.
    """

    unit = "user"
    units = "users"
    tells = "have a history"
    metrics = (Metric("ndcg@10", "nDCG@10"), Metric("recall@10", "recall@10"), Metric("mrr@10", "MRR@10"))
    short = "ndcg"
    slices = ("new_items", "short_histories")

    def read(self, dataset: Path, split: str, *, required: bool = True) -> list[JudgedUser]:
        """The judged users of a split."""
        return read_judged(dataset, split, required=required)

    def unit_id(self, example: JudgedUser) -> str:
        """The user's key."""
        return example.user_key

    def request(self, example: JudgedUser) -> dict[str, Any]:
        """The history, and how many items are asked for."""
        return example.request

    def by_unit(self, examples: Sequence[JudgedUser], given: Sequence[Chosen | None], fitted: None) -> ByUnit:
        """Every metric of every user."""
        rules: dict[str, Rule] = {"ndcg@10": ndcg, "recall@10": recall, "mrr@10": reciprocal_rank}
        pairs = list(zip(examples, given, strict=True))
        return {name: [_measured(rule, *pair) for pair in pairs] for name, rule in rules.items()}

    def part(self, name: str, example: JudgedUser, given: Chosen | None) -> tuple[JudgedUser, Chosen | None] | None:
        """The targets that nobody who trains acted on; or the whole of a user with fewer than five acts."""
        if name == "short_histories":
            return (example, given) if len(example.history) < _SHORT else None
        new = tuple(item for item in example.targets if not example.known.interactions.get(item))
        return (replace(example, targets=new), given) if new else None

    def overall(self, examples: Sequence[JudgedUser], given: Sequence[Chosen | None]) -> dict[str, float]:
        """Coverage, popularity and diversity of what is shown, each in [0, 1].

        Coverage is the share of available items that are shown to anybody; popularity the mean share of items that are
        less popular than a shown one; diversity 1 - the mean overlap (Jaccard) of the words of two items of a list.
        """
        lists = [shown_of(found) for found in given if found is not None]
        shown = [item for items in lists for item in items]
        if not shown:
            return {}
        known = examples[0].known
        counts = sorted(known.interactions.values())
        below = {count: place / len(counts) for place, count in reversed([*enumerate(counts)])}
        overlaps = [_alike(known.texts, pair) for items in lists for pair in combinations(items, 2)]
        told = {
            "coverage@10": len(set(shown)) / max(1, int(known.catalogue.available.sum())),
            "popularity@10": math.fsum(below[known.interactions.get(item, counts[0])] for item in shown) / len(shown),
            "diversity@10": 1 - math.fsum(overlaps) / max(1, len(overlaps)),
        }
        return {name: round(value, 4) for name, value in told.items()}


def shown_of(given: Chosen) -> list[str]:
    """The ids of the items that are judged."""
    return [item for item, _ in given[0][:SHOWN]]


def _measured(rule: Rule, user: JudgedUser, given: Chosen | None) -> float | None:
    if given is None or not user.history:
        return None
    targets = set(user.targets)
    return rule([item in targets for item in shown_of(given)], len(targets))


def ndcg(hits: Sequence[bool], targets: int) -> float:
    """nDCG@10 with a gain of 1 for each target (Järvelin and Kekäläinen 2002)."""
    ideal = math.fsum(1 / math.log2(place + 2) for place in range(min(targets, SHOWN)))
    return math.fsum(1 / math.log2(place + 2) for place, hit in enumerate(hits) if hit) / ideal


def recall(hits: Sequence[bool], targets: int) -> float:
    """The share of the targets that are shown, of ten at most."""
    return sum(hits) / min(targets, SHOWN)


def reciprocal_rank(hits: Sequence[bool], targets: int) -> float:
    """1 / the place of the first target; 0 where none is shown."""
    return next((1 / place for place, hit in enumerate(hits, start=1) if hit), 0.0)


def _alike(texts: Mapping[str, str], pair: tuple[str, str]) -> float:
    one, other = (set(words(texts.get(item, ""))) for item in pair)
    return len(one & other) / len(one | other) if one | other else 0.0
