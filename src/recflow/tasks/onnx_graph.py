"""From a torch module to an ONNX file, its graph optimised by onnxruntime."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Interface:
    """Inputs as a module takes them, by name with example and dynamic dimensions, and the name of the one output."""

    inputs: Mapping[str, Any]
    shapes: Sequence[Mapping[int, Any]]
    output: str


def write_onnx(module: Any, interface: Interface, target: Path, *, opset: int) -> None:
    """Write a torch module in evaluation mode as ONNX."""
    import torch

    raw = target.with_suffix(".raw")
    with quiet_exporters():
        torch.onnx.export(
            module.eval(),
            tuple(interface.inputs.values()),
            str(raw),
            dynamo=True,
            input_names=list(interface.inputs),
            output_names=[interface.output],
            dynamic_shapes=tuple(interface.shapes),
            opset_version=opset,
            external_data=False,
            verbose=False,
        )
        _optimise(raw, target)
    raw.unlink()


def _optimise(source: Path, target: Path) -> None:
    """Fuse what holds on every CPU; layout changes are for one kind of CPU only and are left to the server."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


@contextmanager
def quiet_exporters() -> Iterator[None]:
    """Without the exporters' own warnings and notes about themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
