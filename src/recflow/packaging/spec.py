"""The packaging stage's public shape."""

from recflow.artifacts.refs import RefKind
from recflow.stages import StageSpec

PACKAGE = StageSpec(
    name="package",
    version=5,
    kind=RefKind.PACKAGE,
    sections=("packaging",),
    inputs=("model",),
    by_task=True,
    names_task=True,
)
