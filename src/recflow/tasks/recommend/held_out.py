"""What a recommender is stopped and joined by: how well it ranks what validation users turned to next."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recflow.tasks.recommend.histories import Histories

_CHUNK, _MOST_USERS, _PLACES = 256, 5000, 10


@dataclass(frozen=True)
class HeldOut:
    """Users with acts before the first one that is to be predicted: these acts are their histories.

    `starts` and `lengths` are those of the histories, `ends` where the user's acts end.
    """

    histories: Histories
    starts: np.ndarray
    lengths: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    def chunks(self) -> Iterator["HeldOut"]:
        """The same users, those with histories of about one length together."""
        order = np.argsort(self.lengths, kind="stable")
        for start in range(0, len(order), _CHUNK):
            yield self.only(order[start : start + _CHUNK])

    def only(self, users: np.ndarray) -> "HeldOut":
        """Some of the users."""
        return HeldOut(self.histories, self.starts[users], self.lengths[users], self.ends[users])

    def newest(self, length: int) -> "HeldOut":
        """The same users with the newest acts of their histories."""
        kept = np.minimum(self.lengths, length)
        return HeldOut(self.histories, self.starts + self.lengths - kept, kept, self.ends)

    def history(self, user: int) -> np.ndarray:
        """The codes of one user's history."""
        return self.histories.items[self.starts[user] : self.starts[user] + self.lengths[user]]

    def ndcg(self, scores: np.ndarray, *, exclude_seen: bool) -> np.ndarray:
        """nDCG@10 of each user, from (users, items) scores, which it changes; gains are 1 for each item turned to."""
        rows, items = self._pairs(self.starts + self.lengths, self.ends)
        wanted = scores[rows, items]
        if exclude_seen:
            scores[self._pairs(self.starts, self.starts + self.lengths)] = -np.inf
        ranks = (scores[rows] >= wanted[:, None]).sum(1) - (scores[rows, items] == wanted)
        gains = np.where(ranks < _PLACES, 1 / np.log2(ranks + 2.0), 0.0)
        ideal = np.cumsum(1 / np.log2(np.arange(_PLACES) + 2.0))
        wanted_items = np.minimum(np.bincount(rows, minlength=len(self)), _PLACES)
        found: np.ndarray = np.bincount(rows, gains, minlength=len(self)) / ideal[wanted_items - 1]
        return found

    def _pairs(self, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each user with each distinct item between two places."""
        lengths = ends - starts
        rows = np.repeat(np.arange(len(self)), lengths)
        places = np.arange(len(rows)) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
        found = np.unique(np.stack([rows, self.histories.items[places]]), axis=1)
        return found[0], found[1]


def hold_out(histories: Histories, random: np.random.Generator) -> HeldOut:
    """At most 5,000 of the users that have something to be predicted and acts before it."""
    first = np.full(len(histories), len(histories.items))
    places = np.flatnonzero(histories.targets)
    np.minimum.at(first, histories.users[places], places)
    starts, ends = histories.offsets[:-1], histories.offsets[1:]
    users = np.flatnonzero((first > starts) & (first < ends))
    users = np.sort(random.permutation(users)[:_MOST_USERS])
    return HeldOut(histories, starts[users], first[users] - starts[users], ends[users])
