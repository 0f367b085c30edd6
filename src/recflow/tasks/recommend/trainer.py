"""Makes recommenders: trains one from a stored data set, and writes what serves it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from recflow.config.recipe import Recipe
from recflow.config.tasks import section_as
from recflow.errors import BadConfiguration, BadData
from recflow.tasks.base import Trainer
from recflow.tasks.onnx_graph import Interface, write_onnx
from recflow.tasks.recommend.catalogue import Catalogue, read_catalogue
from recflow.tasks.recommend.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from recflow.tasks.recommend.encoder import ItemVectors, LastState, Recommender, SequenceEncoder, Size
from recflow.tasks.recommend.fitting import fit
from recflow.tasks.recommend.held_out import HeldOut, hold_out
from recflow.tasks.recommend.histories import Histories, read_countries, read_histories
from recflow.tasks.recommend.joining import best_strength
from recflow.tasks.recommend.neighbours import NeighbourRule, Neighbours, find_neighbours
from recflow.tasks.recommend.options import RecommendTraining
from recflow.tasks.recommend.start_vectors import start_vectors
from recflow.tasks.recommend.warm_start import place_new_items, start_from

_OPSET = 18


class RecommendTrainer(Trainer):
    """A sequence model and item-item collaborative filtering, joined as validation users like it best."""

    def train(self, recipe: Recipe, dataset: Path, start: Path | None, output: Path) -> Mapping[str, float]:
        """Write a checkpoint. Told are epochs, the best of them, examples (acts predicted), validation nDCG@10."""
        return train(section_as(recipe.training, RecommendTraining), dataset, start, output)

    def write_model(self, checkpoint: Path, output: Path) -> None:
        """Write the files that `scoring.Scorer` reads."""
        trained = load_checkpoint(checkpoint)
        encoder = SequenceEncoder(trained.size, 0.0)
        encoder.load_state_dict({
            name.removeprefix("encoder."): torch.from_numpy(values)
            for name, values in trained.weights.items() if name.startswith("encoder.")
        })  # fmt: skip
        _export(encoder, trained.size, output / "model.onnx")
        np.save(output / "item_vectors.npy", trained.item_vectors)
        np.save(output / "neighbours.npy", trained.neighbours.items)
        np.save(output / "neighbour_weights.npy", trained.neighbours.weights)
        _write_json(output / "items.json", {
            "ids": trained.ids, "available": trained.available.tolist(), "popularity": trained.popularity.tolist(),
        })  # fmt: skip
        _write_json(output / "recommender.json", {**trained.scoring, "countries": trained.countries})


@dataclass(frozen=True)
class _Data:
    """What a training reads of a stored data set."""

    catalogue: Catalogue
    countries: tuple[str, ...]
    train: Histories
    held_out: HeldOut


def train(options: RecommendTraining, dataset: Path, start: Path | None, output: Path) -> Mapping[str, float]:
    """What `RecommendTrainer.train` does, by these options."""
    data = _read(dataset, options)
    torch.manual_seed(options.seed)
    size = _size(options, len(data.countries))
    model = _model(data, size, options)
    parent = load_checkpoint(start) if start is not None and options.start == "parent" else None
    neighbours = find_neighbours(data.train, len(data.catalogue), _rule(options))
    known = None if parent is None else start_from(model, size, data.catalogue, data.countries, parent)
    if known is None:
        model.items.begin_with(start_vectors(data.train, len(data.catalogue), size.width))
    else:
        place_new_items(model, known, neighbours)
    epochs = options.epochs if known is None else options.warm_epochs
    fitted = fit(model, data.train, data.held_out, options, epochs)
    strength, ndcg = best_strength(model, neighbours, data.held_out, options)
    save_checkpoint(_checkpoint(data, size, model, neighbours, _for_scoring(options, strength)), output)
    return {
        "epochs": fitted.epochs,
        "best_epoch": fitted.best_epoch,
        "examples": fitted.examples,
        "sequence_validation_ndcg": fitted.ndcg,
        "validation_ndcg": ndcg,
        "neighbour_strength": strength,
        "warm_start": float(known is not None),
    }


def _read(dataset: Path, options: RecommendTraining) -> _Data:
    catalogue, countries = read_catalogue(dataset), read_countries(dataset, "train")
    known, validation = (read_histories(dataset, split, catalogue, countries) for split in ("train", "validation"))
    if not (known.lengths > 1).any():
        raise BadData("no training history has two acts", expected="what follows what", seen="nothing")
    return _Data(catalogue, countries, known, hold_out(validation, np.random.default_rng(options.seed)))


def _checkpoint(
    data: _Data, size: Size, model: Recommender, neighbours: Neighbours, scored: Mapping[str, object]
) -> Checkpoint:
    catalogue = data.catalogue
    return Checkpoint(
        size,
        tuple(catalogue.ids.to_pylist()),
        data.countries,
        catalogue.available,
        catalogue.interactions.astype(np.float32),
        model.item_vectors().numpy(),
        neighbours,
        {name: tensor.numpy() for name, tensor in model.state_dict().items()},
        scored,
    )


def _size(options: RecommendTraining, countries: int) -> Size:
    if options.width % options.heads:
        raise BadConfiguration(
            "training.heads", expected=f"a divisor of training.width ({options.width})", seen=str(options.heads)
        )
    return Size(options.width, options.layers, options.heads, options.max_length, countries)


def _model(data: _Data, size: Size, options: RecommendTraining) -> Recommender:
    met = np.bincount(data.train.items, minlength=len(data.catalogue)) > 0
    items = ItemVectors(data.catalogue.texts, met, size.width, options.id_dropout)
    return Recommender(items, SequenceEncoder(size, options.dropout))


def _rule(options: RecommendTraining) -> NeighbourRule:
    return NeighbourRule(
        options.window,
        options.decay,
        options.backwards,
        options.damping,
        options.neighbour_damping,
        options.neighbours,
    )


def _for_scoring(options: RecommendTraining, strength: float) -> dict[str, object]:
    kept = options.model_dump(mode="json", include={"max_length", "recency", "exclude_seen", "banned"})
    return {**kept, "neighbour_strength": strength}


def _export(encoder: SequenceEncoder, size: Size, target: Path) -> None:
    acts = torch.export.Dim("acts", min=1, max=size.length)
    inputs = {
        "vectors": torch.zeros(1, min(2, size.length), size.width),
        "context": torch.zeros(1, min(2, size.length), 4, dtype=torch.long),
    }
    write_onnx(LastState(encoder), Interface(inputs, ({1: acts}, {1: acts}), "user"), target, opset=_OPSET)


def _write_json(path: Path, told: Mapping[str, object]) -> None:
    path.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
