"""Signatures: the named tensors that a served model takes and gives for one request, and whether an answer is one."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field

from recflow.artifacts.frozen import Frozen
from recflow.errors import AnswerMalformed, BadConfiguration

Datatype = Literal["BOOL", "INT32", "INT64", "FP32", "FP64", "BYTES"]
Tensors = Mapping[str, np.ndarray]
_NUMPY: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}
_NAMES = {dtype: name for name, dtype in _NUMPY.items()}
_PROBE = b"probe"


class Tensor(Frozen):
    """One tensor of a request: its name, Triton's name of its type, and its dimensions.

    A dimension is a number, or the name of an axis of any length: wherever a request and its answer name an axis, it
    has one length. `BYTES` are texts in UTF-8, as an array of `bytes` objects.
    """

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    datatype: Datatype
    dims: tuple[int | str, ...] = Field(min_length=1)

    @property
    def is_ragged(self) -> bool:
        """Whether requests that are answered together may have different shapes of it."""
        return any(isinstance(dim, str) for dim in self.dims)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its type in numpy."""
        return _NUMPY[self.datatype]

    def fits(self, array: np.ndarray, axes: dict[str, int]) -> bool:
        """Whether the array has this type and shape; the lengths of its axes are put down in `axes`."""
        if array.dtype != self.dtype or array.ndim != len(self.dims):
            return False
        for dim, length in zip(self.dims, array.shape, strict=True):
            if length != (axes.setdefault(dim, length) if isinstance(dim, str) else dim):
                return False
        return True

    def told(self, axes: Mapping[str, int]) -> str:
        """The tensor in words, its axes as long as is known."""
        dims = ", ".join(str(axes.get(dim, dim) if isinstance(dim, str) else dim) for dim in self.dims)
        return f"{self.name} {self.datatype} [{dims}]"


class Signature(Frozen):
    """What one request to a model is made of, and what its answer is. Neither has a batch axis: Triton joins them."""

    inputs: tuple[Tensor, ...] = Field(min_length=1)
    outputs: tuple[Tensor, ...] = Field(min_length=1)

    @property
    def told(self) -> str:
        """The signature in words."""
        takes, gives = (", ".join(tensor.told({}) for tensor in side) for side in (self.inputs, self.outputs))
        return f"{takes} to {gives}"

    def lengths(self, inputs: Tensors) -> dict[str, int]:
        """How long each axis of a request is; BadConfiguration when these are not the tensors that the model takes."""
        axes: dict[str, int] = {}
        sound = inputs.keys() == {tensor.name for tensor in self.inputs}
        if sound and all(tensor.fits(inputs[tensor.name], axes) for tensor in self.inputs):
            return axes
        raise BadConfiguration(
            "a model would be asked with other tensors than it takes",
            expected=", ".join(tensor.told({}) for tensor in self.inputs),
            seen=described(inputs),
        )

    def refuse_malformed(self, model: str, lengths: Mapping[str, int], outputs: Tensors) -> None:
        """AnswerMalformed unless an answer has each tensor with its type and shape, and numbers only.

        `lengths` are those of the request's axes.
        """
        axes = dict(lengths)
        sound = outputs.keys() == {tensor.name for tensor in self.outputs}
        if not sound or not all(tensor.fits(outputs[tensor.name], axes) for tensor in self.outputs):
            expected = ", ".join(tensor.told(lengths) for tensor in self.outputs)
            raise AnswerMalformed(f"{model} answered wrongly", expected=expected, seen=described(outputs))
        for name, array in outputs.items():
            if array.dtype.kind == "f" and (strange := int(np.count_nonzero(~np.isfinite(array)))):
                seen = f"{strange} of {array.size} in {name} are none"
                raise AnswerMalformed(f"{model} answered wrongly", expected="numbers", seen=seen)

    def probe(self) -> dict[str, np.ndarray]:
        """The smallest request: every axis of length 1, ones and the text `probe`."""
        return {tensor.name: _filled(tensor) for tensor in self.inputs}

    def resized(self, tensors: Tensors, axis: str, size: int) -> dict[str, np.ndarray]:
        """These inputs or outputs with an axis of exactly `size`: its first ones, or all of them again and again."""
        dims = {tensor.name: tensor.dims for tensor in (*self.inputs, *self.outputs)}
        return {name: _resized(array, dims[name], axis, size) for name, array in tensors.items()}

    def to_json(self, tensors: Tensors) -> dict[str, Any]:
        """Inputs or outputs as JSON has them: nested lists, texts as texts."""
        return {name: _plain(array) for name, array in tensors.items()}

    def from_json(self, side: tuple[Tensor, ...], plain: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The inputs or the outputs (`side`) that `to_json` wrote; KeyError, TypeError or ValueError for others."""
        return {tensor.name: _array(tensor, plain[tensor.name]) for tensor in side}


def texts(values: Iterator[str]) -> np.ndarray:
    """Texts as a tensor. A lone surrogate is valid in JSON and has no UTF-8: it is replaced, which is no failure."""
    encoded = [value.encode(errors="replace") for value in values]
    array = np.empty(len(encoded), dtype=np.object_)
    array[:] = encoded
    return array


def described(tensors: Tensors) -> str:
    """Tensors in words: name, type and shape of each."""
    kinds = [(name, _NAMES.get(array.dtype, str(array.dtype)), list(array.shape)) for name, array in tensors.items()]
    return ", ".join(f"{name} {kind} {shape}" for name, kind, shape in kinds) or "none"


def numbers(tensors: Tensors) -> list[float]:
    """Every number of an answer, in the order of its tensors; texts and truths are none."""
    return [float(number) for array in tensors.values() if array.dtype.kind in "if" for number in array.ravel()]


def largest_difference(expected: Tensors, seen: Tensors) -> float:
    """The largest absolute difference of two answers; infinite where lengths or texts differ."""
    return max((_difference(array, seen[name]) for name, array in expected.items()), default=0.0)


def _difference(expected: np.ndarray, seen: np.ndarray) -> float:
    if expected.shape != seen.shape:
        return float("inf")
    if expected.dtype == np.object_:
        return 0.0 if expected.tolist() == seen.tolist() else float("inf")
    return float(np.abs(expected.astype(np.float64) - seen.astype(np.float64)).max(initial=0.0))


def _filled(tensor: Tensor) -> np.ndarray:
    shape = tuple(1 if isinstance(dim, str) else dim for dim in tensor.dims)
    return np.full(shape, _PROBE if tensor.datatype == "BYTES" else 1, dtype=tensor.dtype)


def _resized(array: np.ndarray, dims: tuple[int | str, ...], axis: str, size: int) -> np.ndarray:
    for place in (place for place, dim in enumerate(dims) if dim == axis):
        array = np.take(array, np.arange(size) % array.shape[place], axis=place)
    return array


def _plain(array: np.ndarray) -> Any:
    if array.dtype != np.object_:
        return array.tolist()
    decoded = [text.decode() for text in array.ravel().tolist()]
    return np.array(decoded, dtype=np.object_).reshape(array.shape).tolist()


def _array(tensor: Tensor, plain: Any) -> np.ndarray:
    array = np.array(plain, dtype=tensor.dtype)
    if tensor.datatype != "BYTES":
        return array
    return texts(iter(array.ravel().tolist())).reshape(array.shape)
