"""SASRec as published (Kang and McAuley, ICDM 2018): each wanted item against one uniform negative, binary loss."""

import time
from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import softplus

from recflow.tasks.recommend.checkpoint import Checkpoint
from recflow.tasks.recommend.encoder import ItemVectors, Recommender, SequenceEncoder, Size
from recflow.tasks.recommend.fitting import states, validated
from recflow.tasks.recommend.held_out import HeldOut
from recflow.tasks.recommend.histories import Histories
from recflow.tasks.recommend.options import RecommendTraining
from recflow.tasks.recommend.sequences import batch, cut, shuffled

PUBLISHED = RecommendTraining(width=64, layers=2, heads=1, dropout=0.5, max_length=50, epochs=100, patience=4)
_LOOK_EVERY = 5


def train_plain(
    train: Histories, held_out: HeldOut, items: int, seed: int, *, epochs: int
) -> tuple[Recommender, float]:
    """A trained model at its best validation nDCG@10, looked at every five epochs; and CPU seconds."""
    began = time.process_time()
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    options = PUBLISHED
    size = Size(options.width, options.layers, options.heads, options.max_length, 0)
    model = Recommender(
        ItemVectors([""] * items, np.ones(items, bool), size.width, 0.0), SequenceEncoder(size, options.dropout)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=options.learning_rate, betas=(0.9, 0.98))
    best, stale, kept = -1.0, 0, model.copied()
    for epoch in range(1, epochs + 1):
        _epoch(model, optimizer, train, items, random)
        if epoch % _LOOK_EVERY and epoch < epochs:
            continue
        reached = validated(model, held_out, options)
        stale = 0 if reached > best else stale + 1
        if not stale:
            best, kept = reached, model.copied()
        if stale >= options.patience:
            break
    model.load_state_dict(kept)
    return model, time.process_time() - began


def as_checkpoint(model: Recommender, like: Checkpoint) -> Checkpoint:
    """The model with the catalogue and neighbours of another checkpoint, as a package is written from it."""
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    size = replace(
        like.size, width=PUBLISHED.width, layers=PUBLISHED.layers, heads=PUBLISHED.heads, length=PUBLISHED.max_length
    )
    scoring = {**like.scoring, "max_length": PUBLISHED.max_length}
    return replace(like, size=size, item_vectors=model.item_vectors().numpy(), weights=weights, scoring=scoring)


def _epoch(
    model: Recommender, optimizer: torch.optim.Optimizer, train: Histories, items: int, random: np.random.Generator
) -> None:
    model.train()
    starts, lengths = cut(train, PUBLISHED.max_length)
    for places in shuffled(lengths - 1, PUBLISHED.batch_acts, random):
        one = batch(train, starts[places], lengths[places] - 1)
        wanted = torch.from_numpy(one.following[one.real])
        other = torch.from_numpy(random.integers(0, items, len(wanted)))
        found = states(model, one)[torch.from_numpy(one.real)]
        better, worse = ((found * model.items(codes)).sum(1) for codes in (wanted, other))
        loss = (softplus(-better) + softplus(worse)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
