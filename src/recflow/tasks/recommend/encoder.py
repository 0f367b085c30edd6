"""The sequence model: a causal transformer over the items of a history (Kang and McAuley, ICDM 2018, pre-norm)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recflow.domain.text import normalise
from recflow.tasks.recommend.scoring import GAPS, HOURS, WEEKDAYS

BUCKETS = 16_384
_SPREAD = 0.02
_UNTOLD = 0.2


@dataclass(frozen=True)
class Size:
    """How large a model is; `length` is the longest history that it reads."""

    width: int
    layers: int
    heads: int
    length: int
    countries: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """What two models must have in common that one can start from the other."""
        return self.width, self.layers, self.heads, self.length


class SequenceEncoder(nn.Module):
    """From the vectors of a history's items to the vector of what comes after each of them."""

    def __init__(self, size: Size, dropout: float) -> None:
        super().__init__()
        kinds = (GAPS, HOURS, WEEKDAYS, size.countries + 1)
        self.positions = nn.Parameter(torch.randn(size.length, size.width) * _SPREAD)
        self.circumstances = nn.ModuleList(_table(kind, size.width) for kind in kinds)
        self.blocks = nn.ModuleList(_Block(size.width, size.heads, dropout) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors: Tensor, context: Tensor) -> Tensor:
        """(users, acts, width) of item vectors and (users, acts, 4) of codes to states (users, acts, width).

        Histories begin at place 0; what follows a shorter one is never looked at by its acts.
        """
        if self.training:  # so that a request that tells nothing is none that was never met
            context = context * (torch.rand(len(context), 1, 1) >= _UNTOLD)
        told = [table(context[..., kind]) for kind, table in enumerate(self.circumstances)]
        states = self.dropout(torch.stack([vectors + self.positions[: vectors.shape[1]], *told]).sum(0))
        for block in self.blocks:
            states = block(states)
        normed: Tensor = self.norm(states)
        return normed


class LastState(nn.Module):
    """What serves: the state of the newest act, for histories of one length."""

    def __init__(self, encoder: SequenceEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, vectors: Tensor, context: Tensor) -> Tensor:
        """(users, acts, width) and (users, acts, 4) to (users, width)."""
        states: Tensor = self.encoder(vectors, context)
        return states[:, -1]


class ItemVectors(nn.Module):
    """An item's vector: one learned by its id, where it was acted on, plus the mean of its text's n-grams.

    So an item that nobody has met yet has a vector made of its text; in training ids are left out at random for it.
    """

    def __init__(self, texts: Sequence[str], met: np.ndarray, width: int, id_dropout: float) -> None:
        super().__init__()
        grams = [hashed_grams(text) for text in texts]
        self.number = len(texts)
        self.ids = nn.Embedding(len(texts), width)
        nn.init.normal_(self.ids.weight, std=_SPREAD)
        self.grams = nn.EmbeddingBag(BUCKETS, width, mode="mean") if any(grams) else None
        if self.grams is not None:
            nn.init.normal_(self.grams.weight, std=_SPREAD)
        self.id_dropout = id_dropout
        self._flat = torch.tensor([gram for of_item in grams for gram in of_item], dtype=torch.long)
        self._ends = torch.tensor(np.cumsum([0, *map(len, grams)]))
        self._met = torch.from_numpy(met)

    def begin_with(self, vectors: Tensor) -> None:
        """Begin as these (items, width); an id whose row is zeros keeps what it has.

        An n-gram begins as the mean of the items that have it, and an id as what its item's text leaves over.
        """
        told = vectors.any(1)
        with torch.no_grad():
            if self.grams is not None:
                owners = torch.repeat_interleave(torch.arange(self.number), self._ends.diff())
                known, flat = told[owners], self._flat
                sums = torch.zeros_like(self.grams.weight).index_add(0, flat[known], vectors[owners[known]])
                self.grams.weight.copy_(sums / torch.bincount(flat[known], minlength=BUCKETS).clamp(min=1)[:, None])
                vectors = vectors - self._of_text(torch.arange(self.number))
            self.ids.weight.copy_(torch.where(told[:, None], vectors, self.ids.weight))

    def forward(self, codes: Tensor) -> Tensor:
        """Vectors (…, width) of the items with these codes."""
        found: Tensor = self.ids(codes)
        kept = self._met[codes]
        if self.grams is not None:
            if self.training:
                kept = kept & (torch.rand(codes.shape) >= self.id_dropout)
            return found * kept[..., None] + self._of_text(codes.reshape(-1)).view(found.shape)
        return found * kept[..., None]

    def _of_text(self, codes: Tensor) -> Tensor:
        assert self.grams is not None
        lengths = self._ends[codes + 1] - self._ends[codes]
        offsets = lengths.cumsum(0) - lengths
        places = torch.arange(int(lengths.sum())) + torch.repeat_interleave(self._ends[codes] - offsets, lengths)
        vectors: Tensor = self.grams(self._flat[places], offsets)
        return vectors


class Recommender(nn.Module):
    """Item vectors and the encoder that reads them."""

    def __init__(self, items: ItemVectors, encoder: SequenceEncoder) -> None:
        super().__init__()
        self.items, self.encoder = items, encoder

    def item_vectors(self) -> Tensor:
        """(items, width), of the whole catalogue in its order."""
        self.eval()
        with torch.no_grad():
            found: Tensor = self.items(torch.arange(self.items.number))
            return found

    def copied(self) -> dict[str, Tensor]:
        """The weights as they are now."""
        return {name: tensor.clone() for name, tensor in self.state_dict().items()}


class _Block(nn.Module):
    """Causal self-attention and a feed-forward layer, each on normed states and added to them."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.share = heads, dropout
        self.before_attention, self.before_feed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asked, self.mixed = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor) -> Tensor:
        states = states + self.dropout(self.mixed(self._attend(self.before_attention(states))))
        added: Tensor = states + self.dropout(self.feed(self.before_feed(states)))
        return added

    def _attend(self, states: Tensor) -> Tensor:
        users, acts, width = states.shape
        split = self.asked(states).view(users, acts, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        share = self.share if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, dropout_p=share, is_causal=True)
        return mixed.transpose(1, 2).reshape(users, acts, width)


def hashed_grams(text: str) -> list[int]:
    """Words and pairs of neighbouring words of a text, each as one of BUCKETS numbers."""
    words = normalise(text).casefold().split()
    return [crc32(gram.encode()) % BUCKETS for gram in [*words, *map(" ".join, pairwise(words))]]


def _table(size: int, width: int) -> nn.Embedding:
    table = nn.Embedding(size, width)
    nn.init.normal_(table.weight, std=_SPREAD)
    return table
