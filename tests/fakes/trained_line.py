"""One small line with real parts: the real MiniLM fine-tuned on a tiny shop, compressed to ONNX, logged to MLflow."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fakes.small_models import shop_rows, write_dataset
from fakes.stage_bench import StageBench
from recflow.artifacts.parents import Parent
from recflow.artifacts.refs import Ref, RefKind
from recflow.clients.registry import MlflowRegistry
from recflow.compression import run as compression
from recflow.compression.spec import COMPRESS
from recflow.config.recipe import Recipe
from recflow.evaluation import run as evaluation
from recflow.evaluation.spec import OFFLINE_GATE
from recflow.packaging import run as packaging
from recflow.packaging.spec import PACKAGE
from recflow.training import run as training
from recflow.training.encoder import Encoders
from recflow.training.spec import FINE_TUNE

TRAINING = {"epochs": 1, "trained_layers": 1, "max_tokens": 32, "evaluations_per_epoch": 1}


def small_recipe(**sections: Mapping[str, Any]) -> Recipe:
    """A recipe that trains in seconds."""
    plain = {"name": "search", "owner": "tests", "training": TRAINING, **sections}
    return Recipe.model_validate(plain)


def small_splits(*, shuffled: bool = False) -> dict[str, list[dict[str, Any]]]:
    """The tiny shop's 48 queries: 16 to train, 8 to stop, 24 to judge; labels of the first two may be shuffled."""
    rows, wrong = shop_rows(48), shop_rows(48, shuffled=True)
    seen = wrong if shuffled else rows
    return {"train": seen[: 16 * 8], "validation": seen[16 * 8 : 24 * 8], "test": rows[24 * 8 :]}


@dataclass(frozen=True)
class TrainedLine:
    """What the line's stages gave, and the means to run them again."""

    bench: StageBench
    mlflow_uri: str
    dataset: Ref
    checkpoint: Ref
    model: Ref

    def train(self, dataset: Ref, *, parent: Parent | None = None, recipe: Recipe | None = None) -> Ref:
        """Fine-tune on a data set."""
        return _train(self.bench, self.mlflow_uri, dataset, parent, recipe or small_recipe())

    def compress(self, checkpoint: Ref, *, recipe: Recipe | None = None) -> Ref:
        """Compress a checkpoint."""
        function = partial(compression.run, encoders=Encoders())
        return self.bench.run(COMPRESS, function, recipe or small_recipe(), checkpoint=checkpoint, dataset=self.dataset)

    def pack(self, model: Ref, *, recipe: Recipe | None = None) -> Ref:
        """The package of a model."""
        return self.bench.run(PACKAGE, packaging.run, recipe or small_recipe(), model=model)

    def judge(self, package: Ref, *, parent: Parent | None = None, recipe: Recipe | None = None) -> Ref:
        """The offline gate's decision on a package."""
        function = partial(evaluation.run, encoders=Encoders())
        inputs = {"package": package, "parent": self.bench.parent(parent), "dataset": self.dataset}
        return self.bench.run(OFFLINE_GATE, function, recipe or small_recipe(), **inputs)

    def publish_dataset(self, name: str, splits: dict[str, list[dict[str, Any]]]) -> Ref:
        """Another data set."""
        return self.bench.publish(RefKind.DATASET, write_dataset(self.bench.root / name, splits))


def train_line(root: Path) -> TrainedLine:
    """Run the line once."""
    bench, uri = StageBench(root), f"sqlite:///{root / 'mlflow' / 'mlflow.db'}"
    dataset = bench.publish(RefKind.DATASET, write_dataset(root / "dataset", small_splits()))
    checkpoint = _train(bench, uri, dataset, None, small_recipe())
    line = TrainedLine(bench, uri, dataset, checkpoint, checkpoint)
    return TrainedLine(bench, uri, dataset, checkpoint, line.compress(checkpoint))


def _train(bench: StageBench, uri: str, dataset: Ref, parent: Parent | None, recipe: Recipe) -> Ref:
    function = partial(training.run, registry=MlflowRegistry(uri), encoders=Encoders())
    return bench.run(FINE_TUNE, function, recipe, parent=bench.parent(parent), dataset=dataset)
