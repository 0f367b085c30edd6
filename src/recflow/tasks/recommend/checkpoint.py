"""A trained recommender as files: tensors as safetensors, the rest as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from recflow.errors import ArtifactCorrupt
from recflow.tasks.recommend.encoder import Size
from recflow.tasks.recommend.neighbours import Neighbours

_TENSORS, _TOLD = "recommender.safetensors", "recommender.json"
_WEIGHTS = "weights."


@dataclass(frozen=True)
class Checkpoint:
    """What serves, and what a later training starts from.

    `countries` have the codes from 1 on. `ids`, `available` and `popularity` are by code, as are `item_vectors`
    (items, width). `weights` are the model's by their names in torch. `scoring` is what `Scorer` reads beside.
    """

    size: Size
    ids: tuple[str, ...]
    countries: tuple[str, ...]
    available: np.ndarray
    popularity: np.ndarray
    item_vectors: np.ndarray
    neighbours: Neighbours
    weights: Mapping[str, np.ndarray]
    scoring: Mapping[str, object]


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a checkpoint's files; the same one gives the same bytes."""
    tensors = {_WEIGHTS + name: values for name, values in checkpoint.weights.items()} | {
        "available": checkpoint.available,
        "popularity": checkpoint.popularity,
        "item_vectors": checkpoint.item_vectors,
        "neighbours": checkpoint.neighbours.items,
        "neighbour_weights": checkpoint.neighbours.weights,
    }
    save_file({name: np.ascontiguousarray(values) for name, values in tensors.items()}, folder / _TENSORS)
    told = {
        "size": asdict(checkpoint.size),
        "ids": checkpoint.ids,
        "countries": checkpoint.countries,
        "scoring": checkpoint.scoring,
    }
    (folder / _TOLD).write_text(json.dumps(told, ensure_ascii=False, indent=1), encoding="utf-8")


def load_checkpoint(folder: Path) -> Checkpoint:
    """A checkpoint from its files; ArtifactCorrupt when they cannot be read."""
    try:
        told = json.loads((folder / _TOLD).read_text(encoding="utf-8"))
        tensors = load_file(folder / _TENSORS)
        weights = {name.removeprefix(_WEIGHTS): tensors[name] for name in tensors if name.startswith(_WEIGHTS)}
        return Checkpoint(
            Size(**told["size"]),
            tuple(told["ids"]),
            tuple(told["countries"]),
            tensors["available"],
            tensors["popularity"],
            tensors["item_vectors"],
            Neighbours(tensors["neighbours"], tensors["neighbour_weights"]),
            weights,
            told["scoring"],
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ArtifactCorrupt(
            f"the checkpoint {folder.name} cannot be read", expected=f"{_TENSORS} and {_TOLD}", seen=str(error)
        ) from error
