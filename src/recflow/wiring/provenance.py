"""What a package would be made with if it were made now, from the recipe, the code and the base model of this host."""

from pathlib import Path

from recflow.artifacts.digests import digest_file
from recflow.config.recipe import Recipe
from recflow.domain.changes import BASE_MODEL, fingerprint, scoring_code, shaping_options, stage_version
from recflow.tasks.base import ADAPTER
from recflow.wiring.services import Services
from recflow.wiring.stage_calls import STAGES

_PACKAGE_ROOT = Path(__file__).parents[1]
_SCORES = (  # what is copied into a package, beside the task's adapter; by name, since compression is heavy to import
    "compression/scoring.py",
    "domain/answers.py",
    "domain/lexical.py",
    "domain/text.py",
    "packaging/model.py",
)
_MAKES = ("fine_tune", "compress", "package")


def made_with_now(services: Services, recipe: Recipe) -> str:
    """The fingerprint that a candidate of this recipe would have; BadConfiguration where its base is not found."""
    from recflow.training.bases import base_digest, base_folder

    paths = {Path(name).name: _PACKAGE_ROOT / name for name in _SCORES}
    paths[ADAPTER] = services.task(recipe.task).serving.adapter
    made = shaping_options(recipe.model_dump(mode="json")) | scoring_code(
        {name: digest_file(path) for name, path in paths.items()}
    )
    for name in _MAKES:
        made |= stage_version(name, STAGES[name].spec.version)
    if base := recipe.training.base_model:
        made[BASE_MODEL] = base_digest(base_folder(base, services.settings.base_models))
    return fingerprint(made)
