"""A task that is no relation of relevance and lives in tests alone: four numbers in, a class out.

It is found as a shop's own task would be: through the entry point of an installed distribution, see `installed`.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import datasets
import numpy as np
import pyarrow as pa
from pydantic import Field

from fakes import toy_scoring, toy_tensors
from recflow.artifacts.events import Exposure
from recflow.config.recipe import Recipe
from recflow.config.sections.data import LabelledSection
from recflow.config.sections.gate import JudgedSection, LimitRule, MarginRule, PartRule
from recflow.config.sections.serving import PackagingSection, ServingSection
from recflow.config.sections.training import TrainedSection
from recflow.config.tasks import Sections, section_as
from recflow.domain.golden import GOLDEN, Golden
from recflow.domain.requests import Refusal, Request
from recflow.domain.signatures import Signature, Tensor, Tensors
from recflow.engine import Engine, Table, Value
from recflow.engine.expressions import int32, naive, nearest_whole
from recflow.packaging.run import lay_out
from recflow.tasks.base import (
    Basis,
    ByUnit,
    Examples,
    Floors,
    Metric,
    Metrics,
    Serving,
    Task,
    Trainer,
    golden_json,
)

CLASSES = 3
Given = Sequence[float] | None
KIND = "confirmed"
WEIGHTS = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 1.0))
OTHER_WEIGHTS = WEIGHTS[::-1]
ROWS = ((1.0, 0.0, 0.0, 0.0), (0.0, 2.0, 0.5, 0.0), (0.1, 0.2, 0.3, 0.4))


class ClassifyRequest(Request):
    """Tell the class of four numbers."""

    features: list[float]


class ToyServing(Serving[ClassifyRequest]):
    endpoint = "classify"
    request = ClassifyRequest
    signature = Signature(
        inputs=(Tensor(name="FEATURES", datatype="FP32", dims=(4,)),),
        outputs=(Tensor(name="CLASS", datatype="INT64", dims=(1,)),),
    )
    adapter = Path(str(toy_tensors.__file__))
    scoring = Path(str(toy_scoring.__file__))
    model_files = ("weights.json",)
    acted_on = "answer"
    fallback = "usual"
    agreement = "share of equal classes"

    def refuse(self, request: ClassifyRequest, limits: ServingSection) -> None:
        if len(request.features) != 4:
            raise Refusal(422, "wrong_length", "four numbers are needed")

    def tensors(self, request: ClassifyRequest) -> Tensors:
        return self._features(request.features)

    def without_model(self, request: ClassifyRequest) -> Tensors:
        return {"CLASS": np.array([0])}

    def exposed(self, request: ClassifyRequest, outputs: Tensors | None) -> dict[str, Any]:
        answer = json.dumps({"class": int(outputs["CLASS"][0])}) if outputs else ""
        return {"query": "", "items": (), "answer": answer}

    def told(self, exposure: Exposure) -> dict[str, Any]:
        return json.loads(exposure.answer)

    def compared(self, request: ClassifyRequest, shown: Exposure, outputs: Tensors) -> dict[str, Any]:
        same = self.told(shown)["class"] == int(outputs["CLASS"][0])
        kept = {"query": "", "items": (), "length": 0, "overlap": None}
        return {**kept, "tau": float(same), "score_difference": float(not same)}

    def example(self, example: "ToyExample") -> Tensors:
        return self._features(example.features)

    def _features(self, features: Sequence[float]) -> Tensors:
        return {"FEATURES": np.asarray(features, dtype=np.float32)}

    def answered(self, given: Sequence[float]) -> Tensors:
        return toy_tensors.outputs(given)


@dataclass(frozen=True)
class ToyExample:
    """Four numbers and their class."""

    name: str
    features: tuple[float, ...]
    label: int


class ToyExamples(Examples):
    """An act of the kind `confirmed` tells a class as its value; the four numbers stand in its attributes."""

    schema = pa.schema(
        [("event_id", pa.string()), ("attributes", pa.string()), ("label", pa.int32()), ("day", pa.string())]
    )
    unit = "event_id"
    key = ("event_id",)
    expected = "confirmed classes"

    def read(self, engine: Engine, partitions: Sequence[tuple[str, Path]]) -> Table:
        rows = engine.read_each(dict(partitions), "day")
        return rows.mutate(at=naive(rows["at"]))

    def labelled(
        self, engine: Engine, events: Table, days: Sequence[str], span: tuple[datetime, datetime], recipe: Recipe
    ) -> tuple[Table, Table]:
        kept = events.filter(events.kind == KIND, events.day.isin(list(days)))
        kept = kept.filter(kept.value >= section_as(recipe.labels, ToyLabels).smallest)
        return engine.keep(kept.select("event_id", "attributes", "day", label=int32(nearest_whole(kept.value)))), events

    def learned(self, engine: Engine, examples: Table, events: Table, recipe: Recipe, seed: str, output: Path) -> Table:
        engine.write(
            examples.filter(examples.split == "train").group_by("label").aggregate(), output / "classes.parquet"
        )
        return examples

    def unit_of(self, examples: Table) -> Value:
        return examples.event_id

    def described(self, engine: Engine, splits: Mapping[str, Table]) -> dict[str, Any]:
        return {"classes": {name: engine.count(table.group_by("label").aggregate()) for name, table in splits.items()}}


class ToyMetrics(Metrics[ToyExample, Sequence[float]]):
    unit = "row"
    units = "rows"
    metrics = (Metric("log_loss", "log loss", lower_is_better=True, highest=50.0), Metric("accuracy", "accuracy"))
    short = "log_loss"
    slices = ("rare",)

    def read(self, dataset: Path, split: str, *, required: bool = True) -> list[ToyExample]:
        try:
            rows = datasets.load_from_disk(str(dataset / split)).to_list()
        except IndexError:  # what `datasets` makes of a split without a single row
            rows = []
        return [ToyExample(row["event_id"], _numbers(row["attributes"]), row["label"]) for row in rows]

    def unit_id(self, example: ToyExample) -> str:
        return example.name

    def request(self, example: ToyExample) -> list[float]:
        return list(example.features)

    def by_unit(self, examples: Sequence[ToyExample], given: Sequence[Given], fitted: Any) -> ByUnit:
        pairs = list(zip(examples, given, strict=True))
        return {
            "log_loss": [None if found is None else log_loss(found, example.label) for example, found in pairs],
            "accuracy": [None if found is None else float(np.argmax(found) == one.label) for one, found in pairs],
        }

    def part(self, name: str, example: ToyExample, given: Given) -> tuple[ToyExample, Given] | None:
        return (example, given) if example.label == CLASSES - 1 else None


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split()))


def log_loss(scores: Sequence[float], label: int) -> float:
    """Cross-entropy of softmax(scores)."""
    values = np.asarray(scores)
    return float(min(50.0, np.log(np.exp(values - values.max()).sum()) + values.max() - values[label]))


class ToyFloors(Floors[ToyExample, Sequence[float]]):
    def given(self, name: str, basis: Basis, examples: Sequence[ToyExample]) -> list[list[float]]:
        """The same scores for every class: what is known without the numbers."""
        return [[0.0] * CLASSES for _ in examples]


class ToyTrainer(Trainer):
    """Logistic regression by gradient steps, from the serving model's weights or from none."""

    def train(self, recipe: Recipe, dataset: Path, start: Path | None, output: Path) -> dict[str, float]:
        examples = ToyMetrics().read(dataset, "train")
        weights = np.array(json.loads((start / "weights.json").read_text())) if start else np.zeros((CLASSES, 4))
        rows, labels = np.array([one.features for one in examples]), [one.label for one in examples]
        for _ in range(section_as(recipe.training, ToyTraining).steps):
            chances = np.exp(rows @ weights.T)
            chances /= chances.sum(axis=1, keepdims=True)
            weights = weights - 0.5 * (chances - np.eye(CLASSES)[labels]).T @ rows / len(rows)
        (output / "weights.json").write_text(json.dumps(weights.tolist()))
        return {"examples": float(len(examples))}

    def write_model(self, checkpoint: Path, output: Path) -> None:
        shutil.copyfile(checkpoint / "weights.json", output / "weights.json")


class ToyLabels(LabelledSection):
    smallest: float = 0.0


class ToyTraining(TrainedSection):
    steps: int = Field(default=200, ge=1)


class ToyTrainingWithState(ToyTraining):
    checkpoint_every_steps: int = 50


class ToyLimit(LimitRule):
    metric: Literal["log_loss", "accuracy"]
    bound: float

    @property
    def limit(self) -> float:
        return self.bound


class ToyMargin(MarginRule):
    metric: Literal["log_loss", "accuracy"]


class ToyPart(PartRule):
    name: Literal["rare"]
    min_rows: int = 2

    @property
    def least(self) -> int:
        return self.min_rows


class ToyGate(JudgedSection):
    values: tuple[ToyLimit, ...] = ()
    changes: tuple[ToyMargin, ...] = (ToyMargin(metric="log_loss", max_drop=0.05),)
    floors: tuple[Literal["constant"], ...] = ("constant",)
    slices: tuple[ToyPart, ...] = ()
    min_rows: int = 10

    @property
    def least(self) -> int:
        return self.min_rows


SECTIONS = Sections(ToyLabels, ToyTraining, ToyGate)
TASK = Task("toy", SECTIONS, ToyExamples, ToyServing(), ToyMetrics(), ToyFloors(), ToyTrainer)
KEEPING_STATE = replace(TASK, sections=replace(SECTIONS, training=ToyTrainingWithState))


def installed(folder: Path, *, name: str = "toy", place: str = "fakes.toy_task:TASK") -> Path:
    """A folder that, on the path, is an installed distribution which brings the task."""
    told = folder / f"recflow_{name}-1.0.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: recflow-{name}\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text(f"[recflow.tasks]\n{name} = {place}\n")
    return folder


def write_toy_package(folder: Path, *, weights: Sequence[Sequence[float]] = WEIGHTS) -> Path:
    """A package's folder, laid out by the real packaging."""
    model = folder.with_name(f"{folder.name}-model")
    model.mkdir(parents=True)
    shutil.copyfile(str(toy_scoring.__file__), model / "scoring.py")
    (model / "weights.json").write_text(json.dumps(weights))
    golden = [
        Golden(
            TASK.serving.example(ToyExample("", row, 0)), TASK.serving.answered(np.asarray(weights) @ np.asarray(row))
        )
        for row in ROWS
    ]
    (model / GOLDEN).write_text(json.dumps([golden_json(TASK.serving, each) for each in golden]))
    folder.mkdir(parents=True)
    lay_out(model, PackagingSection(), TASK.serving, folder)
    return folder
