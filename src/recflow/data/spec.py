"""The public shape of the two data stages."""

from recflow.artifacts.refs import RefKind
from recflow.stages import StageSpec

VALIDATE_PARTITION = StageSpec(
    name="validate_partition",
    version=5,
    kind=RefKind.PARTITION,
    sections=("data", "outcomes", "labels.attribution_minutes"),
    inputs=("source",),
    heavy=True,
    optional=("released",),
    beside=("past",),
    refused=RefKind.REFUSAL,
)
BUILD_DATASET = StageSpec(
    name="build_dataset",
    version=4,
    kind=RefKind.DATASET,
    sections=("outcomes", "labels", "split"),
    inputs=("parent", "partitions"),
    heavy=True,
    by_task=True,
)
