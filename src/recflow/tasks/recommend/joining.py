"""At what share the sequence model and the neighbours are joined: the one that validation users like best."""

import numpy as np

from recflow.tasks.recommend.encoder import Recommender
from recflow.tasks.recommend.fitting import scored
from recflow.tasks.recommend.held_out import HeldOut
from recflow.tasks.recommend.neighbours import Neighbours
from recflow.tasks.recommend.options import RecommendTraining
from recflow.tasks.recommend.scoring import joined, near

_SHARES = tuple(share / 10 for share in range(10))
_WITHOUT_USERS = 0.5


def best_share(
    model: Recommender, neighbours: Neighbours, held_out: HeldOut, options: RecommendTraining
) -> tuple[float, float]:
    """The share of the neighbours in [0, 1), and the mean validation nDCG@10 with it; without users a half, and 0."""
    if not len(held_out):
        return _WITHOUT_USERS, 0.0
    reached = np.zeros(len(_SHARES))
    for chunk, sequence in scored(model, held_out, options):
        ties = _ties(chunk, neighbours, options)
        for place, share in enumerate(_SHARES):
            reached[place] += chunk.ndcg(joined(sequence, ties, share), exclude_seen=options.exclude_seen).sum()
    best = int(reached.argmax())
    return _SHARES[best], float(reached[best] / len(held_out))


def _ties(held_out: HeldOut, neighbours: Neighbours, options: RecommendTraining) -> np.ndarray:
    """How strongly each item is tied to each user's history, (users, items)."""
    read = held_out.newest(options.max_length)
    return np.stack([
        near(read.history(user), neighbours.items, neighbours.weights, options.recency) for user in range(len(read))
    ])  # fmt: skip
