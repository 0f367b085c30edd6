"""Relevance as it is judged: numbers by query, None where the query cannot tell one ranker from another."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from recflow.domain.judged import JudgedQuery, read_judged
from recflow.domain.ranking import RELEVANT_GRADE, ndcg, recall, reciprocal_rank
from recflow.tasks.base import ByUnit, Metric, Metrics

Given = Sequence[float] | None
Rule = Callable[[Sequence[float], Sequence[float]], float | None]
_FREQUENCIES = ("head", "torso", "tail")


class RelevanceMetrics(Metrics[JudgedQuery, Sequence[float]]):
    """nDCG@10 first; slices by how often a query is asked, or by what its items have."""

    unit = "query"
    units = "queries"
    tells = "can tell two orders apart"
    metrics = (
        Metric("ndcg@10", "nDCG@10"),
        Metric("mrr", "MRR"),
        Metric("recall@10", "recall@10"),
        Metric("f1", "F1", fitted=True),
    )
    short = "ndcg"
    slices = (*_FREQUENCIES, "with_description", "without_description")

    def read(self, dataset: Path, split: str, *, required: bool = True) -> list[JudgedQuery]:
        """The judged queries of a split."""
        return read_judged(dataset, split, required=required)

    def unit_id(self, example: JudgedQuery) -> str:
        """The query's id."""
        return example.query_id

    def shown(self, example: JudgedQuery) -> str:
        """The query's words."""
        return example.query

    def request(self, example: JudgedQuery) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """Query, titles and descriptions."""
        return example.query, example.titles, example.descriptions

    def fitted(self, examples: Sequence[JudgedQuery], given: Sequence[Given]) -> float | None:
        """The threshold of F1."""
        return best_threshold(examples, given)

    def by_unit(self, examples: Sequence[JudgedQuery], given: Sequence[Given], fitted: float | None) -> ByUnit:
        """Every metric of every query."""
        return by_query(examples, given, fitted)

    def part(self, name: str, example: JudgedQuery, given: Given) -> tuple[JudgedQuery, Given] | None:
        """The whole query for a frequency; the items with, or without, a description."""
        items = _items(example, name)
        return (example.only(items), None if given is None else [given[item] for item in items]) if items else None


def _items(query: JudgedQuery, name: str) -> tuple[int, ...]:
    if name in _FREQUENCIES:
        return tuple(range(len(query.titles))) if query.frequency == name else ()
    wanted = name == "with_description"
    return tuple(index for index, text in enumerate(query.descriptions) if bool(text) is wanted)


def by_query(queries: Sequence[JudgedQuery], scores: Sequence[Given], threshold: float | None) -> ByUnit:
    """Every metric of every query: None where it was not answered or cannot tell, NaN where its scores are no numbers.

    F1 needs the threshold above which an item counts as predicted relevant; without one it is left out.
    """
    rules: dict[str, Rule] = {"ndcg@10": ndcg, "mrr": reciprocal_rank, "recall@10": recall}
    if threshold is not None:
        rules["f1"] = lambda grades, given: f1(grades, given, threshold)
    pairs = list(zip(queries, scores, strict=True))
    return {name: [_measured(rule, query, given) for query, given in pairs] for name, rule in rules.items()}


def _measured(rule: Rule, query: JudgedQuery, given: Given) -> float | None:
    if given is None:
        return None
    return rule(query.grades, given) if all(map(math.isfinite, given)) else math.nan


def f1(grades: Sequence[float], scores: Sequence[float], threshold: float) -> float | None:
    """2 TP / (2 TP + FP + FN) of one query, grade >= 2 against score >= threshold; None without a relevant item.

    It judges each score by itself, no order: a query of one item, or of one grade, can tell.
    """
    relevant = [grade >= RELEVANT_GRADE for grade in grades]
    if not any(relevant):
        return None
    predicted = [score >= threshold for score in scores]
    hits = sum(a and b for a, b in zip(relevant, predicted, strict=True))
    return 2 * hits / (sum(relevant) + sum(predicted))


def best_threshold(queries: Sequence[JudgedQuery], scores: Sequence[Given]) -> float | None:
    """The score with the highest mean F1 on these (validation) queries, among 50 quantiles; None without an answer."""
    answered = [(query.grades, given) for query, given in zip(queries, scores, strict=True) if given]
    every = sorted(score for _, given in answered for score in given)
    if not every:
        return None
    candidates = sorted({every[len(every) * part // 50] for part in range(50)})
    return max(candidates, key=lambda limit: _mean([f1(grades, given, limit) for grades, given in answered]))


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0
