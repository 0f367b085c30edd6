"""Item vectors that a training begins with: items that are tied have like vectors from the first step on.

They are the truncated singular value decomposition of the items' cosine ties (Halko, Martinsson and Tropp, SIAM Review
2011), each scaled to one length. From random vectors it takes some ten times the epochs to get where these begin.
"""

import math

import numpy as np
import torch
from torch import Tensor

from recflow.tasks.recommend.histories import Histories
from recflow.tasks.recommend.neighbours import NeighbourRule, Neighbours, find_neighbours

_COSINE = NeighbourRule(window=50, decay=0.9, backwards=1.0, damping=0.5, neighbour_damping=0.5, kept=100)
_LARGEST_SCORE = 6.4
_ITERATIONS = 3


def start_vectors(train: Histories, items: int, width: int) -> Tensor:
    """(items, width); an item without ties has zeros. torch's seed decides on the signs of their numbers."""
    ties = _sparse(find_neighbours(train, items, _COSINE))
    kept = min(width, items)
    left, strengths, _ = torch.svd_lowrank(ties, q=kept, niter=_ITERATIONS)
    vectors = torch.zeros(items, width)
    vectors[:, :kept] = left * strengths.sqrt()
    tied = torch.from_numpy(np.bincount(train.items, minlength=items) > 0)
    lengths = vectors.norm(dim=1, keepdim=True).clamp(min=torch.finfo().tiny)
    # The encoder's states have the length sqrt(width), since they are normed.
    scaled: Tensor = vectors / lengths * (_LARGEST_SCORE / math.sqrt(width)) * tied[:, None]
    return scaled


def _sparse(found: Neighbours) -> Tensor:
    """The ties as a sparse matrix (items, items)."""
    one, place = np.nonzero(found.weights)
    indices = torch.from_numpy(np.stack([one, found.items[one, place]]))
    values = torch.from_numpy(found.weights[one, place])
    return torch.sparse_coo_tensor(indices, values, (len(found.items),) * 2, check_invariants=False).coalesce()
