"""Tiny recommenders of the real trainer, and their scorers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fakes.stored_histories import Act, acts, write_dataset
from recflow.compression.own import write_model
from recflow.domain.served_code import load_scorer
from recflow.tasks.recommend.options import RecommendTraining
from recflow.tasks.recommend.task import TASK
from recflow.tasks.recommend.trainer import RecommendTrainer, train

CYCLE = tuple(f"i{number:02d}" for number in range(12))
OPTIONS = RecommendTraining(
    width=16, layers=1, epochs=6, dropout=0.1, batch_acts=64, learning_rate=0.01, max_length=20, neighbours=8
)


def round_the_cycle(users: str, number: int, *, length: int = 6, history: int = 0) -> list[Act]:
    """Users who go on from one item of the cycle to the next one, each from another item on."""
    names = CYCLE * 3
    return [
        act
        for user in range(number)
        for act in acts(f"{users}{user}", names[user % 12 : user % 12 + length], history=history, country="NL")
    ]


def cycle_dataset(folder: Path, **options: Any) -> Path:
    """A data set in which every item is followed by the next one of the cycle."""
    splits = {
        "train": round_the_cycle("t", 60),
        "validation": [*round_the_cycle("v", 12, length=2, history=1), *round_the_cycle("w", 12, history=5)],
        "test": round_the_cycle("x", 12, history=5),
    }
    return write_dataset(folder, splits, **options)


def trained(options: RecommendTraining, dataset: Path, checkpoint: Path, start: Path | None = None) -> dict[str, float]:
    """Train into a new folder; what the trainer tells."""
    checkpoint.mkdir()
    return dict(train(options, dataset, start, checkpoint))


def scorer(checkpoint: Path, folder: Path) -> Any:
    """The scorer of a checkpoint, loaded as a server does, from the new folder of its model."""
    folder.mkdir()
    write_model(TASK, RecommendTrainer(), checkpoint, folder)
    return load_scorer(folder)


def asked(*history: str, k: int = 5, exclude: Sequence[str] = (), **told: Any) -> dict[str, Any]:
    """A request, of which nothing is known but the history's items unless it is told."""
    unknown = {"seconds": [0.0] * len(history), "country": "", "at": 0.0}
    return {"history": list(history), "k": k, "exclude": list(exclude), **unknown, **told}
