"""The ladder: does a smaller form of the model still say what the trained one said? Pure rules on scores."""

import math
from collections.abc import Sequence

import numpy as np

from recflow.artifacts.frozen import Frozen
from recflow.config.sections.compression import CompressionSection
from recflow.domain.judged import JudgedQuery
from recflow.domain.ranking import ndcg

Scores = Sequence[Sequence[float]]
_TIE = 1e-6


class Rung(Frozen):
    """How one variant stands against the trained model.

    `agreement`: share of item pairs in the same order, over all pairs that the trained model separates. `tau`:
    Kendall's tau-a, mean by query. `ndcg_drop`: trained minus variant, mean by query, with its standard error.
    """

    variant: str
    holds: bool
    reason: str
    max_difference: float
    agreement: float
    tau: float
    ndcg_drop: float
    ndcg_drop_error: float
    pairs: int
    size_mb: float
    p50_ms: float


def judge(
    variant: str,
    section: CompressionSection,
    queries: Sequence[JudgedQuery],
    trained: Scores,
    scores: Scores,
    *,
    size_mb: float,
    p50_ms: float,
) -> Rung:
    """Hold a variant's scores of the same queries against the trained ones."""
    differences = [abs(a - b) for t, s in zip(trained, scores, strict=True) for a, b in zip(t, s, strict=True)]
    difference = max(differences, default=0.0) if all(map(math.isfinite, differences)) else math.inf
    orders = [_same_order(t, s) for t, s in zip(trained, scores, strict=True)]
    pairs = sum(count for _, count in orders)
    agreement = sum(same for same, _ in orders) / pairs if pairs else 1.0
    drops = _drops(queries, trained, scores)
    drop = float(np.mean(drops)) if drops else 0.0
    reason = _reason(variant, section, difference, agreement, drop)
    return Rung(
        variant=variant,
        holds=not reason,
        reason=reason or "holds",
        max_difference=difference if math.isfinite(difference) else 1e9,
        agreement=agreement,
        tau=float(np.mean([2 * same / count - 1 for same, count in orders if count] or [1.0])),
        ndcg_drop=drop,
        ndcg_drop_error=float(np.std(drops) / math.sqrt(len(drops))) if drops else 0.0,
        pairs=pairs,
        size_mb=size_mb,
        p50_ms=p50_ms,
    )


def choose(rungs: Sequence[Rung]) -> Rung | None:
    """The smallest variant that holds, None when none does."""
    return min((rung for rung in rungs if rung.holds), key=lambda rung: rung.size_mb, default=None)


def _same_order(trained: Sequence[float], scores: Sequence[float]) -> tuple[int, int]:
    before, after = np.asarray(trained), np.asarray(scores)
    first, second = np.triu_indices(len(before), 1)
    gap = before[first] - before[second]
    told = np.abs(gap) > _TIE
    same = np.sign(gap) == np.sign(after[first] - after[second])
    return int((same & told).sum()), int(told.sum())


def _drops(queries: Sequence[JudgedQuery], trained: Scores, scores: Scores) -> list[float]:
    rows = zip(queries, trained, scores, strict=True)
    pairs = [(ndcg(query.grades, before), ndcg(query.grades, after)) for query, before, after in rows]
    return [before - after for before, after in pairs if before is not None and after is not None]


def _reason(variant: str, section: CompressionSection, difference: float, agreement: float, drop: float) -> str:
    if difference == math.inf:
        return "some scores are no numbers"
    if variant == "fp32":
        limit = section.fp32_atol
        return "" if difference <= limit else f"scores move by up to {difference:.2g}, at most {limit:g} is allowed"
    if agreement < section.min_agreement:
        return f"{agreement:.4f} of item pairs keep their order, at least {section.min_agreement:g} must"
    if drop > section.max_ndcg_drop:
        return f"nDCG@10 falls by {drop:.4f}, at most {section.max_ndcg_drop:g} is allowed"
    return ""
