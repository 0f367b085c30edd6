"""The contract between a task and the rooms, which know nothing else of what a model line answers.

Only its serving half is here: from a request to named tensors, and from a model's answer to what is told and recorded.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from recflow.artifacts.events import Exposure
from recflow.config.sections.cleaning import CleaningSection
from recflow.config.sections.serving import ServingSection
from recflow.domain.golden import GOLDEN, Golden
from recflow.domain.requests import Request
from recflow.domain.signatures import Signature, Tensors, largest_difference
from recflow.errors import AnswerMalformed, BadConfiguration, ModelWontLoad

SUMMARY, ADAPTER = "package.json", "tensors.py"
R = TypeVar("R", bound=Request)


@dataclass(frozen=True)
class Ordered:
    """Of the pairs of an answer that a golden one tells apart: how many stand in its order, how many the other way."""

    pairs: int = 0
    kept: int = 0
    turned: int = 0


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
    model_files: ClassVar[tuple[str, ...]] = ()
    """What a model's folder must hold beside `scoring.py` and the golden requests."""
    axis: ClassVar[str] = ""
    """The axis whose elements are answered each by itself, so that golden requests can be cut and repeated along it."""
    ordered: ClassVar[bool] = False
    """Whether answers are an order, which post-processing may keep while it changes the scale."""
    fallback: ClassVar[str] = "fallback"
    """What is told as the version of an answer that no model gave."""
    agreement: ClassVar[str] = "agreement"
    """What the shadow's measure of agreement is called."""

    def refuse(self, request: R, limits: ServingSection) -> None:
        """Refusal (422) with the code of the first limit that a request breaks."""

    def cleaned(self, request: R, cleaning: CleaningSection) -> R:
        """The request with its texts as a day's data would hold them."""
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
    def answered(self, scores: Sequence[float]) -> Tensors:
        """What the package answers where its model gives these scores."""

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
        return largest_difference(expected, seen) <= atol if strict else self.order(expected, seen, atol).turned == 0

    def order(self, expected: Tensors, seen: Tensors, atol: float) -> Ordered:
        """How an answer stands to the golden one's order, over pairs that noise of `atol` on both sides cannot turn."""
        return Ordered()

    def odd_requests(self) -> Sequence[Tensors]:
        """Sound requests such as few people make, each of which a candidate must answer before it meets anybody."""
        return ()

    def unseen(self, inputs: Tensors, number: int) -> Tensors:
        """A request that costs as much as this one and that no cache knows."""
        return inputs


@dataclass(frozen=True)
class Task:
    """A task under the name that recipes call it by."""

    name: str
    serving: Serving[Any]


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
