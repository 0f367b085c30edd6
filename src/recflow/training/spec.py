"""The shape of the training stage."""

from recflow.artifacts.refs import RefKind
from recflow.stages import StageSpec

FINE_TUNE = StageSpec(
    "fine_tune",
    4,
    RefKind.CHECKPOINT,
    sections=("training",),
    inputs=("parent", "dataset"),
    heavy=True,
    gang=True,
    by_task=True,
)
