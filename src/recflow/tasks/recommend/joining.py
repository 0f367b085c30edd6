"""How strongly the neighbours count beside the sequence model: as validation users like it best."""

import numpy as np

from recflow.tasks.recommend.encoder import Recommender
from recflow.tasks.recommend.fitting import scored
from recflow.tasks.recommend.held_out import HeldOut
from recflow.tasks.recommend.neighbours import Neighbours
from recflow.tasks.recommend.options import RecommendTraining
from recflow.tasks.recommend.scoring import joined, near

_STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)
_WITHOUT_USERS = 2.0


def best_strength(
    model: Recommender, neighbours: Neighbours, held_out: HeldOut, options: RecommendTraining
) -> tuple[float, float]:
    """The strength, and the mean validation nDCG@10 with it; a customary one, and 0, without users."""
    if not len(held_out):
        return _WITHOUT_USERS, 0.0
    reached = np.zeros(len(_STRENGTHS))
    for chunk, sequence in scored(model, held_out, options):
        ties = _ties(chunk, neighbours, options)
        for place, strength in enumerate(_STRENGTHS):
            reached[place] += chunk.ndcg(joined(sequence, ties, strength), exclude_seen=options.exclude_seen).sum()
    best = int(reached.argmax())
    return _STRENGTHS[best], float(reached[best] / len(held_out))


def _ties(held_out: HeldOut, neighbours: Neighbours, options: RecommendTraining) -> np.ndarray:
    """How strongly each item is tied to each user's history, (users, items)."""
    read = held_out.newest(options.max_length)
    return np.stack([
        near(read.history(user), neighbours.items, neighbours.weights, options.recency) for user in range(len(read))
    ])  # fmt: skip
