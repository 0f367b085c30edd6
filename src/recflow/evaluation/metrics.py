"""Metrics by query: one number a query and metric, None where the query cannot tell (no relevant item, say)."""

from collections.abc import Callable, Mapping, Sequence

from recflow.domain.judged import JudgedQuery
from recflow.domain.ranking import RELEVANT_GRADE, ndcg, recall, reciprocal_rank

Scores = Sequence[Sequence[float]]
ByQuery = dict[str, list[float | None]]
METRICS = ("ndcg@10", "mrr", "recall@10", "f1")


def by_query(queries: Sequence[JudgedQuery], scores: Scores, threshold: float | None) -> ByQuery:
    """Every metric of every query; F1 needs the threshold above which an item counts as predicted relevant."""
    rules: Mapping[str, Callable[[Sequence[float], Sequence[float]], float | None]] = {
        "ndcg@10": ndcg,
        "mrr": reciprocal_rank,
        "recall@10": recall,
        "f1": lambda grades, given: None if threshold is None else f1(grades, given, threshold),
    }
    pairs = list(zip(queries, scores, strict=True))
    return {name: [rule(query.grades, given) for query, given in pairs] for name, rule in rules.items()}


def f1(grades: Sequence[float], scores: Sequence[float], threshold: float) -> float | None:
    """2 TP / (2 TP + FP + FN) of one query, grade >= 2 against score >= threshold; None without a relevant item."""
    relevant = [grade >= RELEVANT_GRADE for grade in grades]
    if not any(relevant):
        return None
    predicted = [score >= threshold for score in scores]
    hits = sum(a and b for a, b in zip(relevant, predicted, strict=True))
    return 2 * hits / (sum(relevant) + sum(predicted))


def best_threshold(queries: Sequence[JudgedQuery], scores: Scores) -> float | None:
    """The score with the highest mean F1 on these (validation) queries, among 50 quantiles; None without a query."""
    every = sorted(score for given in scores for score in given)
    if not every:
        return None
    candidates = sorted({every[len(every) * part // 50] for part in range(50)})
    return max(candidates, key=lambda limit: _mean(by_query(queries, scores, limit)["f1"]))


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0
