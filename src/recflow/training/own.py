"""Training by a task's own trainer: what it starts from, what it leaves, what the registry is told."""

from recflow.artifacts.parents import Parent
from recflow.protocols import ModelRegistry
from recflow.stages import StageContext, StageOutput
from recflow.tasks.base import Trainer
from recflow.training.recorded import record_run


def train(context: StageContext, trainer: Trainer, registry: ModelRegistry) -> StageOutput:
    """Let the trainer write its checkpoint, starting from the serving model's where there is one."""
    parent = Parent.model_validate_json((context.folder("parent") / "parent.json").read_bytes())
    start = None if parent.checkpoint is None else context.artifacts.fetch(parent.checkpoint)
    numbers = dict(trainer.train(context.recipe, context.folder("dataset"), start, context.output))
    record_run(context, registry, numbers, {})
    return StageOutput(numbers=dict(numbers))
