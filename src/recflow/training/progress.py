"""The state of a running training: kept as safetensors, so that a killed run goes on where it was."""

import logging
import os
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from recflow.artifacts.frozen import Frozen

log = logging.getLogger(__name__)
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
Weights = dict[str, Tensor]


class Point(Frozen):
    """One evaluation: after how many steps, mean training loss since the last one, validation nDCG@10."""

    step: int
    loss: float
    ndcg: float


class Progress(Frozen):
    """How far a training is, beside its weights."""

    step: int = 0
    curve: tuple[Point, ...] = ()
    best_step: int = 0
    best_ndcg: float = -1.0
    stale: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    examples: int = 0
    seconds: float = 0.0


def save_progress(
    path: Path, progress: Progress, model: nn.Module, best: Weights, optimizer: torch.optim.Optimizer
) -> None:
    """Write everything that resuming needs as one file, whole or not at all."""
    tensors = {f"model.{name}": tensor.detach() for name, tensor in model.named_parameters()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": moments[name] for name in _MOMENTS}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}")
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, fresh, {"progress": progress.model_dump_json()}
    )
    fresh.replace(path)


def load_progress(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Progress, Weights] | None:
    """Put a saved state back into model and optimizer; None, with a log line, when there is none to be read."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress.model_validate_json(file.metadata()["progress"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
    except (SafetensorError, OSError, KeyError, TypeError, ValidationError) as error:
        log.warning("training starts again: %s cannot be read (%s)", path.name, error)
        return None
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"model.{name}"])
    state = optimizer.state_dict()
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, moment = name.split(".")
            state["state"].setdefault(int(index), {})[moment] = tensor
    optimizer.load_state_dict(state)
    best = {name.removeprefix("best."): tensor for name, tensor in tensors.items() if name.startswith("best.")}
    return progress, best
