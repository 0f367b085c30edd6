"""The contract between a task and the rooms, which know nothing else of what a model line answers.

`Examples`: from the rows of validated days to labelled examples. `Metrics` and `Floors`: from answers to held-out ones
to the numbers that a candidate is judged by. `Serving`: from a request to named tensors, and from a model's answer to
what is told and recorded.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from recflow.artifacts.events import Exposure
from recflow.config.recipe import Recipe
from recflow.config.sections.cleaning import CleaningSection
from recflow.config.sections.serving import ServingSection
from recflow.config.tasks import Sections
from recflow.domain.golden import GOLDEN, Golden
from recflow.domain.requests import Request
from recflow.domain.signatures import Signature, Tensors, largest_difference
from recflow.engine import Engine, Table, Value
from recflow.errors import AnswerMalformed, BadConfiguration, ModelWontLoad, PermanentError

SUMMARY, ADAPTER = "package.json", "tensors.py"
R = TypeVar("R", bound=Request)
E = TypeVar("E")
A = TypeVar("A")
"""What a model answers one request with: scores, or what it chose, as `domain/answers.py` has them."""

ByUnit = dict[str, list[float | None]]
"""One value a unit by metric; None for a unit that cannot tell one model from another, or was not answered."""


@dataclass(frozen=True)
class Ordered:
    """Of the pairs of an answer that a golden one tells apart: how many stand in its order, how many the other way."""

    pairs: int = 0
    kept: int = 0
    turned: int = 0

    @classmethod
    def of(cls, golden: Sequence[float], seen: Sequence[float], atol: float) -> "Ordered":
        """Of things by their golden scores and by the seen ones; those within `2 * atol` of each other are not told."""
        found = [
            (a - b) * (x - y)
            for (a, x), (b, y) in combinations(zip(golden, seen, strict=True), 2)
            if abs(a - b) > 2 * atol
        ]
        return cls(len(found), sum(product > 0 for product in found), sum(product < 0 for product in found))


@dataclass(frozen=True)
class Acted:
    """What a user did with an item, and when."""

    item_id: str
    at: datetime


class Serving(ABC, Generic[R]):
    """How a task's models are asked and what becomes of their answers."""

    endpoint: ClassVar[str]
    """The last part of `POST /v1/{route}/<endpoint>`."""
    request: type[R]
    """What a client sends; its docstring is the endpoint's description."""
    signature: ClassVar[Signature]
    """The named tensors of one request and of its answer."""
    adapter: ClassVar[Path]
    """The file that is copied into each package as `tensors.py` and runs in the server: see packaging/model.py."""
    scoring: ClassVar[Path | None] = None
    """The file that is copied into each model of the task's trainer as `scoring.py` and runs in the server.

    None: the text encoder's, which the room of compression knows.
    """
    model_files: ClassVar[tuple[str, ...]] = ()
    """What a model's folder must hold beside `scoring.py` and the golden requests."""
    axis: ClassVar[str] = ""
    """The axis whose elements are answered each by itself, so that golden requests can be cut and repeated along it."""
    ordered: ClassVar[bool] = False
    """Whether answers are an order, which post-processing may keep while it changes the scale."""
    acted_on: ClassVar[Literal["item", "answer"]] = "item"
    """What a person's acts are on: an item that was shown, or the answer as a whole, which shows none."""
    fallback: ClassVar[str] = "fallback"
    """What is told as the version of an answer that no model gave."""
    remembered: ClassVar[int] = 0
    """How many of a user's newest acts a gateway keeps in mind for `informed`; 0: it reads none."""
    agreement: ClassVar[str] = "agreement"
    """What the shadow's measure of agreement is called."""

    def refuse(self, request: R, limits: ServingSection) -> None:
        """Refusal (422) with the code of the first limit that a request breaks."""

    def cleaned(self, request: R, cleaning: CleaningSection) -> R:
        """The request with its texts as a day's data would hold them."""
        return request

    def informed(self, request: R, now: datetime, acts: Sequence[Acted]) -> R:
        """The request with what the gateway knows beside it: when it was made, and what its user did lately."""
        return request

    @abstractmethod
    def tensors(self, request: R) -> Tensors:
        """What the model is asked."""

    @abstractmethod
    def without_model(self, request: R) -> Tensors:
        """What is answered where no model does, as if one had."""

    @abstractmethod
    def exposed(self, request: R, outputs: Tensors | None) -> dict[str, Any]:
        """The fields of `Exposure` that the task fills: what was asked and what was shown; None: nothing was."""

    @abstractmethod
    def told(self, exposure: Exposure) -> dict[str, Any]:
        """What the client is told of an answer, beside its id, version, arm and fallback."""

    @abstractmethod
    def compared(self, request: R, shown: Exposure, outputs: Tensors) -> dict[str, Any]:
        """The fields of `Comparison` that the task fills, from what was shown and what the shadow would have answered.

        `tau` is the agreement in [-1, 1], None where the two could not have differed.
        """

    def groups(self, asked: str, length: int, *, is_frequent: bool) -> tuple[str, ...]:
        """The groups of requests whose agreement is looked at by itself; `asked` and `length` as in `Comparison`."""
        return ()

    @abstractmethod
    def example(self, example: Any) -> Tensors:
        """A held-out example as the request that a shopper would make: what golden requests are made of."""

    @abstractmethod
    def answered(self, given: Any) -> Tensors:
        """What the package answers where its model gives this: scores, or what it chose."""

    def golden(self, stored: Mapping[str, Any]) -> Golden:
        """A golden request as a package has it; any error for what is none, which `read_golden` tells."""
        read = self.signature.from_json
        inputs, outputs = self.signature.inputs, self.signature.outputs
        return self.sound(Golden(read(inputs, stored["inputs"]), read(outputs, stored["outputs"])))

    def sound(self, golden: Golden) -> Golden:
        """The golden request, if its answer is one; else ValueError."""
        try:
            self.signature.refuse_malformed(GOLDEN, self.signature.lengths(golden.inputs), golden.outputs)
        except (AnswerMalformed, BadConfiguration) as error:
            raise ValueError(str(error)) from error
        return golden

    def agree(self, expected: Tensors, seen: Tensors, atol: float, *, strict: bool) -> bool:
        """Whether an answer is the golden one: within `atol`, or only in order where `strict` is False."""
        return self.difference(expected, seen) <= atol if strict else self.order(expected, seen, atol).turned == 0

    def difference(self, expected: Tensors, seen: Tensors) -> float:
        """How far an answer is from the golden one; infinite for another answer."""
        return largest_difference(expected, seen)

    def order(self, expected: Tensors, seen: Tensors, atol: float) -> Ordered:
        """How an answer stands to the golden one's order, over pairs that noise of `atol` on both sides cannot turn."""
        return Ordered()

    def odd_requests(self) -> Sequence[Tensors]:
        """Sound requests such as few people make, each of which a candidate must answer before it meets anybody."""
        return ()

    def unseen(self, inputs: Tensors, number: int) -> Tensors:
        """A request that costs as much as this one and that no cache knows."""
        return inputs


class Examples(ABC):
    """From the rows of validated days to labelled examples, by relational verbs and `engine/expressions.py`."""

    schema: ClassVar[pa.Schema]
    """The columns of a stored split."""
    unit: ClassVar[str]
    """The column that names an example's unit; a hash of it decides the split, so that no unit is on two sides."""
    key: ClassVar[tuple[str, ...]]
    """The columns that name one example."""
    expected: ClassVar[str]
    """What days need that anything can be learned from them."""

    @abstractmethod
    def read(self, engine: Engine, partitions: Sequence[tuple[str, Path]]) -> Table:
        """The rows of some partitions, given as (day, rows.parquet), with `day`, `at`, `kind` and the unit."""

    @abstractmethod
    def labelled(
        self, engine: Engine, events: Table, days: Sequence[str], span: tuple[datetime, datetime], recipe: Recipe
    ) -> tuple[Table, Table]:
        """Labelled examples of `days`, which lie within `span`, with unit and `day`; and what `finished` needs beside.

        `events` are the rows of these days, and of those before them whose acts are waited for.
        """

    @abstractmethod
    def learned(self, engine: Engine, examples: Table, events: Table, recipe: Recipe, seed: str, output: Path) -> Table:
        """What trains and validates, of `examples` and `events` that have their `split`; a task may add examples.

        What floors are made of is written into `output`, beside the splits, from what trains only.
        """

    def finished(self, examples: Table, beside: Table, events: Table, recipe: Recipe) -> Table:
        """The rows of one split with every column of the schema.

        `events` are the rows of all partitions with their `split`: a task may add what came before the examples.
        """
        return examples

    @abstractmethod
    def unit_of(self, examples: Table) -> Value:
        """The unit of each example, made anew from what it was said in, by which leaks are looked for."""

    def described(self, engine: Engine, splits: Mapping[str, Table]) -> dict[str, Any]:
        """What people are told of the splits in dataset.json, beside how many rows and units they have."""
        return {}


@dataclass(frozen=True)
class Metric:
    """A number that each unit gives, in [0, `highest`]: its name in recipes, and what people are told it is.

    One that is `fitted` needs what `Metrics.fitted` learns, and is left out where that is None.
    """

    name: str
    told: str
    lower_is_better: bool = False
    highest: float = 1.0
    fitted: bool = False


class Metrics(ABC, Generic[E, A]):
    """How a task's answers to held-out examples become numbers, by unit: what is independent of each other."""

    unit: ClassVar[str]
    """What a unit is called."""
    units: ClassVar[str]
    """What several are called, in numbers and reasons."""
    tells: ClassVar[str] = "can tell"
    """What is said of units that have a value."""
    metrics: ClassVar[tuple[Metric, ...]]
    """Every metric that a recipe may name; the first one is the main one."""
    short: ClassVar[str]
    """What numbers of the main metric begin with, as in `<short>_candidate`."""
    slices: ClassVar[tuple[str, ...]] = ()
    """Parts of the test examples that a recipe may name."""

    @abstractmethod
    def read(self, dataset: Path, split: str, *, required: bool = True) -> Sequence[E]:
        """The examples of a stored split, one a unit; BadData when it cannot be read, or is empty though `required`."""

    @abstractmethod
    def unit_id(self, example: E) -> str:
        """What names the unit of an example."""

    def shown(self, example: E) -> str:
        """What people are shown for the unit of an example; texts only as the data set has them, masked or not."""
        return self.unit_id(example)

    @abstractmethod
    def request(self, example: E) -> Any:
        """What the package's scorer reads of an example."""

    def fitted(self, examples: Sequence[E], given: Sequence[A | None]) -> Any:
        """What metrics need to know of a model's answers to validation examples, a threshold for one."""
        return None

    @abstractmethod
    def by_unit(self, examples: Sequence[E], given: Sequence[A | None], fitted: Any) -> ByUnit:
        """Every metric of every example; NaN where the answer is no number."""

    def measured(self, examples: Sequence[E], given: Sequence[A | None], fitted: Any) -> ByUnit:
        """`by_unit`, held against what is declared: PermanentError for other metrics, or not one value an example."""
        found = self.by_unit(examples, given, fitted)
        needed = [metric.name for metric in self.metrics if fitted is not None or not metric.fitted]
        wrong = [f"{name} is not declared" for name in found if name not in self.by_name]
        wrong += [f"{name} is missing" for name in needed if name not in found]
        counts = {name: len(values) for name, values in found.items()}
        wrong += [f"{count} values of {name}" for name, count in counts.items() if count != len(examples)]
        if wrong:
            raise PermanentError(
                f"{type(self).__name__}.by_unit does not give what the task declares",
                expected=f"{', '.join(needed)}, for each of {len(examples)} {self.units}",
                seen="; ".join(wrong),
            )
        return found

    def part(self, name: str, example: E, given: A | None) -> tuple[E, A | None] | None:
        """What of an example and its answer belongs to a slice; None for nothing of it."""
        return None

    def overall(self, examples: Sequence[E], given: Sequence[A | None]) -> Mapping[str, float]:
        """What people are told of all answers to test examples together, beside the metrics; no rule judges it."""
        return {}

    @property
    def main(self) -> Metric:
        """The metric that floors, sizes and numbers for people are about."""
        return self.metrics[0]

    @property
    def by_name(self) -> dict[str, Metric]:
        """The metrics by the names that recipes call them."""
        return {metric.name: metric for metric in self.metrics}


class BaseEncoder(Protocol):
    """What a floor may need of the encoders: vectors by the untrained base model."""

    def base_folder(self, name: str) -> Path:
        """The folder of a base model."""

    def encode(self, folder: Path, texts: Sequence[str], max_tokens: int) -> np.ndarray:
        """Vectors (texts, width) of length 1."""


@dataclass(frozen=True)
class Basis:
    """What floors are made of: the recipe, the folder of the data set, and encoders of base models."""

    recipe: Recipe
    dataset: Path
    encoders: BaseEncoder


class Floors(ABC, Generic[E, A]):
    """Rivals that need no training and that no candidate may be worse than, however it compares with yesterday's."""

    @abstractmethod
    def given(self, name: str, basis: Basis, examples: Sequence[E]) -> Sequence[A | None]:
        """The answers of a floor that the recipe names; PermanentError where the data set lacks what it is made of."""


class Trainer(ABC):
    """How a task's models are made, where that is no fine-tuning of a text encoder."""

    @abstractmethod
    def train(self, recipe: Recipe, dataset: Path, start: Path | None, output: Path) -> Mapping[str, float]:
        """Write a checkpoint into `output`; what the registry is told of it. `start` is the serving model's checkpoint.

        The same inputs give the same files. BadData where the data set has nothing to learn from.
        """

    @abstractmethod
    def write_model(self, checkpoint: Path, output: Path) -> None:
        """Write what serves a checkpoint into `output`, beside the task's `scoring.py`: the `model_files`."""


@dataclass(frozen=True)
class Task:
    """A task under the name that recipes call it by."""

    name: str
    sections: Sections
    examples: Callable[[], Examples]
    """Called where a data set is made: what computes tables is imported there only."""
    serving: Serving[Any]
    metrics: Metrics[Any, Any]
    floors: Floors[Any, Any]
    trainer: Callable[[], Trainer] | None = None
    """None: the text encoder that the rooms of training and compression know."""


def golden_json(serving: Serving[Any], golden: Golden) -> dict[str, Any]:
    """A golden request as it is stored."""
    signature = serving.signature
    return {"inputs": signature.to_json(golden.inputs), "outputs": signature.to_json(golden.outputs)}


def is_strict(serving: Serving[Any], package: Path) -> bool:
    """Whether golden answers must match; with post-processing the scale may differ and only the order must match."""
    return not (serving.ordered and (package / "1" / "post_processing.py").exists())


def read_signature(package: Path) -> Signature | None:
    """What a package says that it takes and gives; None for those of stage versions before 5, which do not tell.

    Raises ModelWontLoad when it cannot be read.
    """
    try:
        told = json.loads((package / SUMMARY).read_bytes()).get("signature")
        return None if told is None else Signature.model_validate(told)
    except (OSError, ValueError) as error:
        raise ModelWontLoad(f"{SUMMARY} cannot be read", expected="a whole package", seen=str(error)) from error


def refuse_other_signature(serving: Serving[Any], package: Path) -> None:
    """ModelWontLoad for a package that takes or gives other tensors than the task's, as far as it tells."""
    served = read_signature(package)
    if served is not None and served != serving.signature:
        raise ModelWontLoad(
            "the package's model takes and gives other tensors than its line's task",
            expected=serving.signature.told,
            seen=served.told,
        )
