"""Metrics by query: one number a query and metric, None where the query cannot tell one ranker from another."""

import math
from collections.abc import Callable, Sequence

from recflow.domain.judged import JudgedQuery
from recflow.domain.ranking import RELEVANT_GRADE, ndcg, recall, reciprocal_rank

# The scores of each query's items; None for a query that was not answered.
Scores = Sequence[Sequence[float] | None]
ByQuery = dict[str, list[float | None]]
Rule = Callable[[Sequence[float], Sequence[float]], float | None]
METRICS = ("ndcg@10", "mrr", "recall@10", "f1")


def by_query(queries: Sequence[JudgedQuery], scores: Scores, threshold: float | None) -> ByQuery:
    """Every metric of every query: None where it was not answered or cannot tell, NaN where its scores are no numbers.

    F1 needs the threshold above which an item counts as predicted relevant; without one it is left out.
    """
    rules: dict[str, Rule] = {"ndcg@10": ndcg, "mrr": reciprocal_rank, "recall@10": recall}
    if threshold is not None:
        rules["f1"] = lambda grades, given: f1(grades, given, threshold)
    pairs = list(zip(queries, scores, strict=True))
    return {name: [_measured(rule, query, given) for query, given in pairs] for name, rule in rules.items()}


def _measured(rule: Rule, query: JudgedQuery, given: Sequence[float] | None) -> float | None:
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


def best_threshold(queries: Sequence[JudgedQuery], scores: Scores) -> float | None:
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
