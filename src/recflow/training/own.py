"""Training by a task's own trainer: what it starts from, what it leaves, what the registry is told."""

from recflow.artifacts.parents import Parent
from recflow.config.sections.training import TrainedSection
from recflow.errors import BadConfiguration
from recflow.protocols import ModelRegistry
from recflow.stages import StageContext, StageOutput
from recflow.tasks.base import Trainer
from recflow.training.recorded import record_run


def train(context: StageContext, trainer: Trainer, registry: ModelRegistry) -> StageOutput:
    """Let the trainer write its checkpoint, starting from the serving model's where there is one."""
    refuse_unheeded(context.recipe.training)
    parent = Parent.model_validate_json((context.folder("parent") / "parent.json").read_bytes())
    start = None if parent.checkpoint is None else context.artifacts.fetch(parent.checkpoint)
    numbers = dict(trainer.train(context.recipe, context.folder("dataset"), start, context.output))
    record_run(context, registry, numbers, {})
    return StageOutput(numbers=dict(numbers))


def refuse_unheeded(section: TrainedSection) -> None:
    """BadConfiguration for the first option that no trainer of a task's own heeds."""
    for name, why in unheeded(section).items():
        raise BadConfiguration(
            f"training.{name} is not heeded: {why}",
            expected=str(type(section).model_fields[name].default),
            seen=str(getattr(section, name)),
        )


def unheeded(section: TrainedSection) -> dict[str, str]:
    """The options that were set and that no trainer of a task's own heeds, each with the reason."""
    reasons = {
        "processes": "a task's own trainer trains in one process",
        "checkpoint_every_steps": "a task's own trainer keeps no state and starts anew after it was ended",
    }
    fields = type(section).model_fields
    return {
        name: why for name, why in reasons.items()
        if name in fields and getattr(section, name) != fields[name].default
    }  # fmt: skip
