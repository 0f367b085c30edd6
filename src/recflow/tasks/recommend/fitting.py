"""The sequence model's training: softmax over items, stopped when validation nDCG@10 no longer rises."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from recflow.errors import TrainingDiverged
from recflow.tasks.recommend.encoder import Recommender
from recflow.tasks.recommend.held_out import HeldOut
from recflow.tasks.recommend.histories import Histories
from recflow.tasks.recommend.options import RecommendTraining
from recflow.tasks.recommend.sequences import Batch, batch, cut, shuffled

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """How a training went: epochs, the best of them, acts that were predicted in all, and the best epoch's nDCG@10.

    nDCG is that of validation users, and 0 without any.
    """

    epochs: int
    best_epoch: int
    examples: int
    ndcg: float


class Candidates:
    """The items that the softmax of a step is over: all that anybody met, or where these are too many a sample.

    Of a sample, an item other than the wanted one counts 1 / its chance to be in it, so that the sum is right on
    average: sampled softmax with the correction of negatives only.
    """

    def __init__(self, train: Histories, items: int, most: int, random: np.random.Generator) -> None:
        self._share = np.bincount(train.items, minlength=items) / max(1, len(train.items))
        self._met = np.flatnonzero(self._share)
        self._most, self._random = most, random

    def of(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Codes of candidates in their order, all of `wanted` among them, and the logarithm of each one's chance."""
        if len(self._met) <= self._most:
            return self._met, np.zeros(len(self._met), np.float32)
        drawn = self._random.choice(self._met, self._most, replace=False, shuffle=False)
        codes = np.union1d(wanted, drawn)
        missed = (1 - self._share[codes]) ** len(wanted) * (1 - self._most / len(self._met))
        return codes, np.log1p(-missed).astype(np.float32)


def fit(model: Recommender, train: Histories, held_out: HeldOut, options: RecommendTraining, epochs: int) -> Fitted:
    """Train a model in place and leave it at its best epoch; at the last one where there is nobody to compare by."""
    random = np.random.default_rng(options.seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, betas=(0.9, 0.98)
    )
    candidates = Candidates(train, model.items.number, options.candidates, random)
    best, best_epoch, kept, epoch, examples = -1.0, 0, model.copied(), 0, 0
    for epoch in range(1, epochs + 1):
        examples += _epoch(model, optimizer, train, candidates, options, random)
        reached = validated(model, held_out, options)
        log.info("epoch %d: validation nDCG@10 %.4f", epoch, reached)
        if reached > best or not len(held_out):
            best, best_epoch, kept = reached, epoch, model.copied()
        elif epoch - best_epoch >= options.patience:
            break
    model.load_state_dict(kept)
    return Fitted(epoch, best_epoch, examples, best)


def _epoch(
    model: Recommender,
    optimizer: torch.optim.Optimizer,
    train: Histories,
    candidates: Candidates,
    options: RecommendTraining,
    random: np.random.Generator,
) -> int:
    """Learn from every act that follows another one, once; how many these were."""
    model.train()
    starts, lengths = cut(train, options.max_length)
    for places in shuffled(lengths - 1, options.batch_acts, random):
        loss = _loss(model, batch(train, starts[places], lengths[places] - 1), candidates)
        if not torch.isfinite(loss):
            raise TrainingDiverged("the loss is no number", expected="a finite loss", seen=str(float(loss)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return int((lengths - 1).sum())


def validated(model: Recommender, held_out: HeldOut, options: RecommendTraining) -> float:
    """Mean nDCG@10 of the sequence model alone; 0 without users."""
    found = [
        chunk.ndcg(scores, exclude_seen=options.exclude_seen) for chunk, scores in scored(model, held_out, options)
    ]
    return float(np.concatenate(found).mean()) if found else 0.0


def scored(model: Recommender, held_out: HeldOut, options: RecommendTraining) -> Iterator[tuple[HeldOut, np.ndarray]]:
    """Some users at a time, with the sequence model's scores (users, items) of the whole catalogue."""
    model.eval()
    items = model.item_vectors()
    with torch.inference_mode():
        for chunk in held_out.chunks():
            read = chunk.newest(options.max_length)
            every = states(model, batch(read.histories, read.starts, read.lengths))
            newest = every[torch.arange(len(read)), torch.from_numpy(read.lengths - 1)]
            yield chunk, (newest @ items.T).numpy()


def states(model: Recommender, one: Batch) -> Tensor:
    """(users, acts, width)."""
    found: Tensor = model.encoder(model.items(torch.from_numpy(one.items)), torch.from_numpy(one.context))
    return found


def _loss(model: Recommender, one: Batch, candidates: Candidates) -> Tensor:
    """Mean cross-entropy of the items that were turned to, by the acts' weights."""
    real = torch.from_numpy(one.real)
    wanted = one.following[one.real]
    codes, chances = candidates.of(wanted)
    logits = states(model, one)[real] @ model.items(torch.from_numpy(codes)).T
    place = torch.from_numpy(np.searchsorted(codes, wanted))
    of_wanted = logits.gather(1, place[:, None])
    corrected = (logits - torch.from_numpy(chances)).scatter(1, place[:, None], of_wanted)
    weights = torch.from_numpy(one.weights[one.real].astype(np.float32))
    return (cross_entropy(corrected, place, reduction="none") * weights).sum() / weights.sum()
