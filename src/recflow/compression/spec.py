"""The shape of the compression stage."""

from recflow.artifacts.refs import RefKind
from recflow.stages import StageSpec

COMPRESS = StageSpec(
    "compress",
    4,
    RefKind.MODEL,
    sections=("compression",),
    inputs=("checkpoint", "dataset"),
    heavy=True,
    by_task=True,
    names_task=True,
)
