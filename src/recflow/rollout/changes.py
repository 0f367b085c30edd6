"""Whether a release is a refresh or a change, by what its package and the serving one were made with."""

import json
from typing import Any

from recflow.artifacts.ledger import Candidate, Served
from recflow.artifacts.manifests import Manifest
from recflow.artifacts.refs import Ref
from recflow.domain.changes import differences, shaping_options
from recflow.errors import PermanentError
from recflow.storage import ArtifactStore

UNKNOWN = "what the serving version was made with is not known"
_MADE_FROM = ("model", "checkpoint")


def what_changed(candidate: Candidate, stable: Served | None, artifacts: ArtifactStore) -> tuple[str, ...]:
    """The options and stages that differ between two packages; empty for a refresh, and without a stable.

    A package of which it cannot be told counts as different. Raises StoreUnavailable when the store does not answer.
    """
    if stable is None or stable.package == candidate.package:
        return ()
    try:
        return differences(_made_with(stable.package, artifacts), _made_with(candidate.package, artifacts))
    except (PermanentError, OSError, ValueError):
        return (UNKNOWN,)


def _made_with(package: Ref, artifacts: ArtifactStore) -> dict[str, Any]:
    recipe = json.loads((artifacts.fetch(package) / "recipe.json").read_bytes())
    return shaping_options(recipe) | _stage_versions(artifacts.manifest(package), artifacts)


def _stage_versions(manifest: Manifest, artifacts: ArtifactStore) -> dict[str, Any]:
    """The versions of the stages that a package went through: their code shapes the answers as well."""
    versions: dict[str, Any] = {f"stage {manifest.stage}": manifest.stage_version}
    for name in _MADE_FROM:
        for ref in manifest.inputs.get(name, ()):
            versions |= _stage_versions(artifacts.manifest(ref), artifacts)
    return versions
