"""What a package would be made with if it were made now, from the recipe, the code and the base model of this host."""

from pathlib import Path
from typing import Any

from recflow.artifacts.digests import digest_file
from recflow.config.recipe import Recipe
from recflow.domain.changes import BASE_MODEL, fingerprint, scoring_code, shaping_options, stage_version
from recflow.tasks.base import ADAPTER, Serving
from recflow.wiring.services import Services
from recflow.wiring.stage_calls import STAGES

_PACKAGE_ROOT = Path(__file__).parents[1]
# What is copied into a package, beside the task's own files; by name, since compression is heavy to import.
_SERVES = ("domain/answers.py", "packaging/model.py")
_TEXT_ENCODER = ("compression/scoring.py", "domain/lexical.py", "domain/text.py")
_MAKES = ("fine_tune", "compress", "package")


def made_with_now(services: Services, recipe: Recipe) -> str:
    """The fingerprint that a candidate of this recipe would have; BadConfiguration where its base is not found."""
    from recflow.training.bases import base_digest, base_folder

    made = shaping_options(recipe.model_dump(mode="json")) | scoring_code(
        {name: digest_file(path) for name, path in _files(services.task(recipe.task).serving).items()}
    )
    for name in _MAKES:
        made |= stage_version(name, STAGES[name].spec.version)
    if base := recipe.training.base_model:
        made[BASE_MODEL] = base_digest(base_folder(base, services.settings.base_models))
    return fingerprint(made)


def _files(serving: Serving[Any]) -> dict[str, Path]:
    """The files that answer, by their names in a package."""
    ours = _SERVES if serving.scoring else (*_SERVES, *_TEXT_ENCODER)
    files = {Path(name).name: _PACKAGE_ROOT / name for name in ours} | {ADAPTER: serving.adapter}
    return files | ({"scoring.py": serving.scoring} if serving.scoring else {})
