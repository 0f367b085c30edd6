"""The packaging stage's public shape."""

from recflow.artifacts.refs import RefKind
from recflow.stages import StageSpec

PACKAGE = StageSpec(name="package", version=4, kind=RefKind.PACKAGE, sections=("packaging",), inputs=("model",))
