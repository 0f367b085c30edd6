"""Histories as batches for the sequence model: cut to its length, and together with others of their length."""

from dataclasses import dataclass

import numpy as np

from recflow.tasks.recommend.histories import Histories
from recflow.tasks.recommend.scoring import circumstances

_JITTER = 0.5


@dataclass(frozen=True)
class Batch:
    """Sequences of one batch, padded behind, (users, acts) each; `context` has 4 codes an act.

    `items` are those acted on, `following` the ones after each, `weights` how much these teach, and `real` says which
    places are no padding.
    """

    items: np.ndarray
    context: np.ndarray
    following: np.ndarray
    weights: np.ndarray
    real: np.ndarray


def cut(histories: Histories, length: int) -> tuple[np.ndarray, np.ndarray]:
    """First act and number of acts of the sequences that an epoch learns from: 2 to `length` + 1 acts.

    A longer history gives several, each of which begins with the last act of the one before it.
    """
    pieces = np.maximum(-(-(histories.lengths - 1) // length), 0)
    users = np.repeat(np.arange(len(histories)), pieces)
    after = np.cumsum(pieces)[users] - 1 - np.arange(len(users))
    ends = histories.offsets[users + 1] - after * length
    starts = np.maximum(histories.offsets[users], ends - length - 1)
    return starts, ends - starts


def shuffled(lengths: np.ndarray, acts: int, random: np.random.Generator) -> list[np.ndarray]:
    """Places of sequences, batch by batch in random order: of about one length, `acts` in all with their padding."""
    order = np.argsort(np.log2(lengths) + random.uniform(0, _JITTER, len(lengths)), kind="stable")
    batches, start = [], 0
    while start < len(order):
        longest = np.maximum.accumulate(lengths[order[start : start + acts]])
        fitting = int(np.searchsorted(longest * np.arange(1, len(longest) + 1), acts, side="right"))
        batches.append(order[start : start + max(1, fitting)])
        start += len(batches[-1])
    return [batches[place] for place in random.permutation(len(batches))]


def batch(histories: Histories, starts: np.ndarray, lengths: np.ndarray) -> Batch:
    """The acts from `starts` on, each of which has another one after it: that one's time and country are told."""
    real = np.arange(lengths.max()) < lengths[:, None]
    places = np.where(real, starts[:, None] + np.arange(lengths.max()), starts[:, None])
    seconds, countries = histories.seconds, histories.countries
    told = circumstances(seconds[places], seconds[places + 1], countries[places + 1])
    return Batch(histories.items[places], told, histories.items[places + 1], histories.weights[places + 1], real)
