"""The ladder: does a smaller form of the model still say what the trained one said? Pure rules on scores."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recflow.artifacts.frozen import Frozen
from recflow.config.sections.compression import CompressionSection
from recflow.tasks.base import Metrics

Scores = Sequence[Sequence[float]]
_TIE = 1e-6


@dataclass(frozen=True)
class Trained:
    """What the trained model answered to examples, and the metrics by which that is judged."""

    metrics: Metrics[Any, Any]
    examples: Sequence[Any]
    scores: Scores


class Rung(Frozen):
    """How one variant stands against the trained model.

    `agreement`: share of the pairs of an answer in the same order, over all pairs that the trained model separates.
    `tau`: Kendall's tau-a, mean by answer. `drop`: how much worse the main metric is than the trained model's, mean by
    unit, with its standard error.
    """

    variant: str
    holds: bool
    reason: str
    max_difference: float
    agreement: float
    tau: float
    drop: float
    drop_error: float
    pairs: int
    size_mb: float
    p50_ms: float

    def told(self, short: str) -> dict[str, Any]:
        """The rung as it is stored: numbers of the main metric begin with `short`."""
        return {f"{short}_{name}" if name.startswith("drop") else name: value for name, value in self}


def judge(
    variant: str, section: CompressionSection, trained: Trained, scores: Scores, *, size_mb: float, p50_ms: float
) -> Rung:
    """Hold a variant's scores of the same examples against the trained ones."""
    pairs_of_answers = list(zip(trained.scores, scores, strict=True))
    differences = [abs(a - b) for t, s in pairs_of_answers for a, b in zip(t, s, strict=True)]
    difference = max(differences, default=0.0) if all(map(math.isfinite, differences)) else math.inf
    orders = [_same_order(t, s) for t, s in pairs_of_answers]
    pairs = sum(count for _, count in orders)
    agreement = sum(same for same, _ in orders) / pairs if pairs else 1.0
    drops = _drops(trained, scores)
    drop = float(np.mean(drops)) if drops else 0.0
    reason = _reason(variant, section, difference, agreement) or _worse(variant, section, trained.metrics, drop)
    return Rung(
        variant=variant,
        holds=not reason,
        reason=reason or "holds",
        max_difference=difference if math.isfinite(difference) else 1e9,
        agreement=agreement,
        tau=float(np.mean([2 * same / count - 1 for same, count in orders if count] or [1.0])),
        drop=drop,
        drop_error=float(np.std(drops) / math.sqrt(len(drops))) if drops else 0.0,
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


def _drops(trained: Trained, scores: Scores) -> list[float]:
    """How much worse each unit is that both can tell."""
    main = trained.metrics.main
    before, after = (
        trained.metrics.measured(trained.examples, given, None)[main.name] for given in (trained.scores, scores)
    )
    worse = -1 if main.lower_is_better else 1
    pairs = zip(before, after, strict=True)
    return [worse * (a - b) for a, b in pairs if a is not None and b is not None and math.isfinite(a - b)]


def _reason(variant: str, section: CompressionSection, difference: float, agreement: float) -> str:
    if difference == math.inf:
        return "some scores are no numbers"
    if variant == "fp32":
        limit = section.fp32_atol
        return "" if difference <= limit else f"scores move by up to {difference:.2g}, at most {limit:g} is allowed"
    if agreement < section.min_agreement:
        return f"{agreement:.4f} of pairs keep their order, at least {section.min_agreement:g} must"
    return ""


def _worse(variant: str, section: CompressionSection, metrics: Metrics[Any, Any], drop: float) -> str:
    if variant == "fp32" or drop <= section.max_drop:
        return ""
    way = "rises" if metrics.main.lower_is_better else "falls"
    return f"{metrics.main.told} {way} by {drop:.4f}, at most {section.max_drop:g} is allowed"
