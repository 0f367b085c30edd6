"""Recommending the next item: nDCG@10 and Recall@10 of a packaged recommender on Amazon Beauty, rivals beside it.

Leave one out, see `leave_one_out`; the whole catalogue is ranked, and every choice is made by the validation items. The
answers are those of the package's own scorer, whose model the trainer wrote. Items of the history are left out of them
where no user of the file turns to an item again, as on Beauty, and only there.

    python -m benchmarks.recommend_quality FILE     the same for another file; nothing is kept
"""

import json
import os
import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.leave_one_out import Sequences, read_sequences, write_dataset
from benchmarks.plain_sasrec import as_checkpoint, train_plain
from recflow.compression.own import write_model
from recflow.domain.served_code import load_scorer
from recflow.tasks.recommend.catalogue import read_catalogue
from recflow.tasks.recommend.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from recflow.tasks.recommend.held_out import hold_out
from recflow.tasks.recommend.histories import Histories, read_histories
from recflow.tasks.recommend.neighbours import NeighbourRule, find_neighbours
from recflow.tasks.recommend.options import RecommendTraining
from recflow.tasks.recommend.task import TASK
from recflow.tasks.recommend.trainer import RecommendTrainer, train

BEST_NDCG, BEST_RECALL = 0.0531, 0.0921
_AGAINST = "SASRec with sampled softmax as published (arXiv 2508.06450), the best known there"
_SEEDS = (0, 1, 2)
_PLACES, _AT_ONCE = 10, 256
_COSINE = NeighbourRule(window=1000, decay=1.0, backwards=1.0, damping=0.5, neighbour_damping=0.5, kept=100)


@dataclass(frozen=True)
class Reading:
    """What one recommender's ten items were: means over users, the share of the catalogue, and how popular they are."""

    ndcg: float
    recall: float
    coverage: float
    popularity: float


@dataclass(frozen=True)
class Field:
    """One file to compare on: its sequences, its data set, and a folder for what is made of it."""

    sequences: Sequences
    dataset: Path
    scratch: Path
    options: RecommendTraining

    def package(self, checkpoint: Checkpoint) -> Any:
        """The scorer of a checkpoint, written as every package is."""
        stored, model = (Path(tempfile.mkdtemp(dir=self.scratch)) for _ in range(2))
        save_checkpoint(checkpoint, stored)
        write_model(TASK, RecommendTrainer(), stored, model)
        return load_scorer(model)

    def read(self, scorer: Any, *, with_history: bool = True) -> Reading:
        """Ask for every user's ten next items."""
        rank = np.full(len(self.sequences.users), _PLACES)
        shown: dict[str, int] = {}
        for user, items in enumerate(self._answers(scorer, with_history=with_history)):
            wanted = self.sequences.items[user][-1]
            rank[user] = items.index(wanted) if wanted in items else _PLACES
            for item in items:
                shown[item] = shown.get(item, 0) + 1
        catalogue = read_catalogue(self.dataset)
        acts = dict(zip(catalogue.ids.to_pylist(), catalogue.interactions.tolist(), strict=True))
        hit = rank < _PLACES
        return Reading(
            float(np.where(hit, 1 / np.log2(rank + 2), 0).mean()),
            float(hit.mean()),
            len(shown) / len(catalogue),
            sum(acts[item] * number for item, number in shown.items()) / sum(shown.values()),
        )

    def _answers(self, scorer: Any, *, with_history: bool) -> Iterator[list[str]]:
        for start in range(0, len(self.sequences.items), _AT_ONCE):
            histories = [items[:-1] for items in self.sequences.items[start : start + _AT_ONCE]]
            for chosen, _ in scorer.score_many([self._request(history, with_history) for history in histories]):
                yield [item for item, _ in chosen]

    def _request(self, history: Sequence[str], with_history: bool) -> dict[str, Any]:
        told = list(history) if with_history else []
        excluded = list(history) if self.options.exclude_seen else []
        unknown = {"seconds": [0.0] * len(told), "country": "", "at": 0.0}
        return {"history": told, "k": _PLACES, "exclude": excluded, **unknown}


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """The two figures with what stands beside them; `quick` on a small file that is made for it."""
    with tempfile.TemporaryDirectory() as scratch:
        if quick:
            return _measured(made(Path(scratch)), Path(scratch), _SEEDS[:1], {"epochs": 2}, plain_epochs=2)
        return _measured(beauty(), Path(scratch), _SEEDS, {})


def beauty() -> Path:
    """Where Amazon Beauty is to be."""
    root = Path(os.environ.get("RECFLOW_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    return root / "s3rec-amazon-beauty" / "Beauty.txt"


def _measured(
    file: Path, scratch: Path, seeds: Sequence[int], changed: Mapping[str, Any], *, plain_epochs: int = 100
) -> list[dict[str, Any]]:
    sequences = read_sequences(file)
    options = RecommendTraining(exclude_seen=not sequences.repeat, **changed)
    field = Field(sequences, scratch / "dataset", scratch, options)
    write_dataset(sequences, field.dataset)
    readings: dict[str, list[Reading]] = {}
    seconds: dict[str, list[float]] = {}
    for seed in seeds:
        for name, checkpoint, cpu in _rivals(field, seed, plain_epochs):
            readings.setdefault(name, []).append(field.read(field.package(checkpoint)))
            seconds.setdefault(name, []).append(cpu)
            print(f"seed {seed}, {name}: {readings[name][-1]}, {cpu:.0f} CPU seconds", flush=True)
    readings["popularity"] = [field.read(field.package(_last(field)), with_history=False)]
    return _figures(readings, seconds, field)


def _rivals(field: Field, seed: int, plain_epochs: int) -> Iterator[tuple[str, Checkpoint, float]]:
    """What one seed trains: name, checkpoint, CPU seconds; with the first seed the rivals too, each of them once."""
    began = time.process_time()
    folder = field.scratch / "joint"
    folder.mkdir(exist_ok=True)
    train(field.options.model_copy(update={"seed": seed}), field.dataset, None, folder)
    joint = load_checkpoint(folder)
    yield "joint", joint, time.process_time() - began
    yield "sequence_alone", _scored(joint, neighbour_strength=0.0), 0.0
    if seed != _SEEDS[0]:
        return
    no_sequence = replace(_scored(joint, neighbour_strength=1.0), item_vectors=np.zeros_like(joint.item_vectors))
    yield "neighbours_alone", no_sequence, 0.0
    cosine = find_neighbours(_histories(field, "train"), len(joint.ids), _COSINE)
    yield "item_knn", replace(_scored(no_sequence, recency=1.0), neighbours=cosine), 0.0
    held_out = hold_out(_histories(field, "validation"), np.random.default_rng(seed))
    model, cpu = train_plain(_histories(field, "train"), held_out, len(joint.ids), seed, epochs=plain_epochs)
    yield "plain_sasrec", _scored(as_checkpoint(model, joint), neighbour_strength=0.0), cpu


def _scored(checkpoint: Checkpoint, **changed: float) -> Checkpoint:
    return replace(checkpoint, scoring={**checkpoint.scoring, **changed})


def _last(field: Field) -> Checkpoint:
    return load_checkpoint(field.scratch / "joint")


def _histories(field: Field, split: str) -> Histories:
    return read_histories(field.dataset, split, read_catalogue(field.dataset), ())


def _figures(
    readings: Mapping[str, list[Reading]], seconds: Mapping[str, list[float]], field: Field
) -> list[dict[str, Any]]:
    """The main figures, each with the same number of every rival; the first one with all else that was measured."""
    means = {
        name: {part: float(np.mean([getattr(one, part) for one in found])) for part in Reading.__dataclass_fields__}
        for name, found in readings.items()
    }
    said = {
        "users": len(field.sequences.users),
        "rule": "items of the history may come again"
        if field.sequences.repeat
        else "items of the history are left out",
        "seeds": len(readings["joint"]),
        "cpu_seconds": round(float(np.mean(seconds["joint"]))),
        "cpu_seconds_plain_sasrec": round(float(np.mean(seconds["plain_sasrec"]))),
        "coverage": _told(means, "coverage", 3),
        "mean_popularity_of_what_is_shown": _told(means, "popularity", 1),
    }
    figures = (
        ("recommend_ndcg", "ndcg", "nDCG@10", BEST_NDCG),
        ("recommend_recall", "recall", "Recall@10", BEST_RECALL),
    )
    return [
        {
            "name": name,
            "value": round(means["joint"][part], 4),
            "unit": unit,
            "against": _AGAINST,
            "target": target,
            "better": "higher",
            "of_each_seed": [round(getattr(one, part), 4) for one in readings["joint"]],
            "of_each": _told(means, part, 4),
            **(said if part == "ndcg" else {}),
        }
        for name, part, unit, target in figures
    ]


def _told(means: Mapping[str, Mapping[str, float]], part: str, digits: int) -> dict[str, float]:
    return {name: round(found[part], digits) for name, found in means.items()}


def made(folder: Path) -> Path:
    """A small file in which items follow each other in circles, now and then another one."""
    draw = random.Random(7)
    lines = []
    for user in range(200):
        at = draw.randrange(60)
        steps = [draw.choice((1, 1, 1, 5)) for _ in range(draw.randint(4, 12))]
        items = dict.fromkeys((at + sum(steps[:place])) % 60 for place in range(len(steps)))
        lines.append(" ".join(map(str, (user, *items))))
    path = folder / "made.txt"
    path.write_text("\n".join(lines))
    return path


def main(
    file: Annotated[Path, typer.Argument(help="One line a user: user item item …, the oldest item first.")],
) -> None:
    """Compare the recommenders on any file of sequences."""
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(_measured(file, Path(scratch), _SEEDS, {}), indent=1))


if __name__ == "__main__":
    typer.run(main)
