"""What the registry is told of a training."""

import logging
from collections.abc import Mapping, Sequence

from recflow.errors import RecflowError
from recflow.protocols import ModelRegistry
from recflow.stages import StageContext

log = logging.getLogger(__name__)


def record_run(
    context: StageContext,
    registry: ModelRegistry,
    metrics: Mapping[str, float],
    curves: Mapping[str, Sequence[tuple[int, float]]],
) -> None:
    """Tell the registry; it is a projection for people, so its failure does not cost a trained checkpoint."""
    name = f"fine_tune-{context.interval.label}-{context.key[:8]}"
    tags = {"recflow.stage_key": context.key, "recflow.dataset": context.one("dataset").digest}
    params = context.recipe.training.model_dump(mode="json")
    try:
        run_id = registry.log_run(context.recipe.name, name, params=params, metrics=metrics, tags=tags)
        for curve, points in curves.items():
            registry.log_curve(run_id, f"curve_{curve}", points)
    except RecflowError as error:
        log.warning("the training run is not in the registry: %s", error)
