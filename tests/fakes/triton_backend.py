"""A package's own `model.py`, run in this process: a stand-in for the module that only Triton's Python has."""

import importlib
import importlib.util
import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

_BACKEND = "triton_python_backend_utils"
_BESIDE = ("scoring", "answers", "tensors", "post_processing")
_PARAMETER = re.compile(r'key: "(\w+)" value: { string_value: (".*?(?<!\\)") }')


@dataclass
class Tensor:
    name: str
    data: np.ndarray

    def as_numpy(self) -> np.ndarray:
        return self.data


@dataclass
class Request:
    """Tensors with their batch axis, as Triton hands them on."""

    tensors: Mapping[str, np.ndarray]
    cancelled: bool = False

    def is_cancelled(self) -> bool:
        return self.cancelled


@dataclass
class Response:
    output_tensors: list[Tensor]
    error: str | None = None


def load_model(package: Path) -> Any:
    """The package's `TritonPythonModel`, initialised as Triton would."""
    read = (package / "config.pbtxt").read_text(encoding="utf-8")
    parameters = {name: {"string_value": json.loads(text)} for name, text in _PARAMETER.findall(read)}
    with _as_in_triton():
        spec = importlib.util.spec_from_file_location("served_model", package / "1" / "model.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        model = module.TritonPythonModel()
        config = json.dumps({"parameters": parameters})
        model.initialize({"model_repository": str(package), "model_version": "1", "model_config": config})
    return model


@contextmanager
def _as_in_triton() -> Iterator[None]:
    """One process serves one model there: here what lies beside `model.py` is forgotten again after its import."""
    backend: Any = ModuleType(_BACKEND)
    backend.get_input_tensor_by_name = lambda request, name: Tensor(name, request.tensors[name])
    backend.Tensor, backend.InferenceResponse, backend.TritonError = Tensor, Response, str
    path, kept = list(sys.path), {name: sys.modules.pop(name) for name in _BESIDE if name in sys.modules}
    sys.modules[_BACKEND] = backend
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        for name in (*_BESIDE, _BACKEND):
            sys.modules.pop(name, None)
        sys.modules.update(kept)
