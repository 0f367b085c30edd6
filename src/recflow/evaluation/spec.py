"""The shape of the offline gate's stage."""

from recflow.artifacts.refs import RefKind
from recflow.stages import StageSpec

OFFLINE_GATE = StageSpec(
    "offline_gate",
    2,
    RefKind.DECISION,
    sections=("offline_gate", "training"),
    inputs=("package", "parent", "dataset"),
    heavy=True,
    by_task=True,
)
