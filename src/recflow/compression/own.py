"""The model of a task's own trainer: its files, and golden requests that it answers itself."""

import json
import shutil
from pathlib import Path
from typing import Any

from recflow.domain.answers import Answer, answer
from recflow.domain.golden import GOLDEN, Golden
from recflow.domain.served_code import load_scorer
from recflow.errors import BadConfiguration, PermanentError
from recflow.stages import StageContext, StageOutput
from recflow.tasks.base import Task, Trainer, golden_json

_MIB = 2**20


def write_own(context: StageContext, task: Task, trainer: Trainer) -> StageOutput:
    """Write the model and its golden requests; PermanentError where it cannot answer one of them."""
    output = context.output
    write_model(task, trainer, context.folder("checkpoint"), output)
    test = task.metrics.read(context.folder("dataset"), "test")[: context.recipe.compression.golden_requests]
    found = answer(_scorer(output), list, [task.metrics.request(example) for example in test])
    golden = [golden_json(task.serving, _golden(task, *pair)) for pair in zip(test, found, strict=True)]
    (output / GOLDEN).write_text(json.dumps(golden, ensure_ascii=False, indent=1), encoding="utf-8")
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    return StageOutput(numbers={"size_mb": round(size / _MIB, 2)})


def write_model(task: Task, trainer: Trainer, checkpoint: Path, output: Path) -> None:
    """Write what serves a checkpoint into the folder `output`; BadConfiguration for a task that names no scorer."""
    if task.serving.scoring is None:
        raise BadConfiguration(
            f"task {task.name} has a trainer of its own and names no file that scores",
            expected="serving.scoring, with Scorer(folder, threads)",
            seen="None",
        )
    shutil.copyfile(task.serving.scoring, output / "scoring.py")
    trainer.write_model(checkpoint, output)


def _golden(task: Task, example: Any, found: Answer) -> Golden:
    if isinstance(found, Exception):
        raise PermanentError(
            f"the model does not answer the test {task.metrics.unit} {task.metrics.unit_id(example)}",
            expected="an answer to every golden request",
            seen=f"{type(found).__name__}: {found}",
        ) from found
    return Golden(task.serving.example(example), task.serving.answered(found))


def _scorer(folder: Path) -> Any:
    try:
        return load_scorer(folder)
    except Exception as error:
        raise PermanentError(
            "the model that the task's trainer wrote does not load",
            expected="scoring.py with Scorer(folder)",
            seen=f"{type(error).__name__}: {error}",
        ) from error
