"""The blend: one weight a feature, learned from the order of items within each query."""

from collections.abc import Sequence

import numpy as np

from recflow.errors import BadData

_STEPS = 30
_SMALL = 1e-9


def fit_blend(
    features: Sequence[np.ndarray], grades: Sequence[np.ndarray], weights: Sequence[np.ndarray], *, l2: float = 0.01
) -> np.ndarray:
    """Weights w of w . f that order each query's items by grade: pairwise logistic regression by Newton's method.

    One array (items, features) a query. Every query counts the same. `l2` acts on features of unit deviation.
    The weights are scaled to an absolute sum of 1. BadData when no query has two different grades.
    """
    spread = np.concatenate(features).std(axis=0) + _SMALL
    parts = [_pairs(f / spread, g, w) for f, g, w in zip(features, grades, weights, strict=True)]
    kept = [(pairs, shares) for pairs, shares in parts if len(pairs)]
    if not kept:
        raise BadData("no training query has items of different grades", expected="at least one", seen="none")
    pairs = np.concatenate([part for part, _ in kept])
    shares = np.concatenate([share for _, share in kept]) / len(kept)
    solution = _newton(pairs, shares, l2) / spread
    return np.asarray(solution / max(np.abs(solution).sum(), _SMALL))


def _pairs(features: np.ndarray, grades: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    better, worse = np.nonzero(grades[:, None] > grades[None, :])
    share = (grades[better] - grades[worse]) * weights[better] * weights[worse]
    if share.sum() <= 0:
        return features[:0], share[:0]
    return features[better] - features[worse], share / share.sum()


def _newton(pairs: np.ndarray, shares: np.ndarray, l2: float) -> np.ndarray:
    solution = np.zeros(pairs.shape[1])
    ridge = 2 * l2 * np.eye(pairs.shape[1])
    for _ in range(_STEPS):
        wrong = 1 / (1 + np.exp(np.clip(pairs @ solution, -50, 50)))
        gradient = pairs.T @ (shares * wrong) - ridge @ solution
        curvature = (pairs * (shares * wrong * (1 - wrong))[:, None]).T @ pairs + ridge
        step = np.linalg.solve(curvature, gradient)
        solution = solution + step
        if np.abs(step).max() < 1e-8:
            break
    return solution
