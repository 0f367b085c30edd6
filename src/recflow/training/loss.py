"""Losses within one query. Scores and grades are vectors over its items; both losses are >= 0 and fall to 0."""

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, softplus


def pairwise(scores: Tensor, grades: Tensor, weights: Tensor) -> Tensor:
    """Mean of -log sigmoid(s_i - s_j) over pairs with grade_i > grade_j (RankNet, Burges et al. 2005).

    A pair weighs the difference of its grades times both items' weights; 0 where no item is better than another.
    """
    better = (grades[:, None] - grades[None, :]).clamp(min=0) * weights[:, None] * weights[None, :]
    total = better.sum()
    if total == 0:
        return scores.sum() * 0
    return (better * softplus(scores[None, :] - scores[:, None])).sum() / total


def listwise(scores: Tensor, grades: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of softmax(s) against the share of gain 2**grade - 1 (ListNet's top-one form, Cao et al. 2007)."""
    gains = (torch.pow(2.0, grades) - 1) * weights
    total = gains.sum()
    if total == 0:
        return scores.sum() * 0
    return -(gains / total * log_softmax(scores, dim=0)).sum()


LOSSES = {"pairwise": pairwise, "listwise": listwise}
