"""What a package was made with; whether its release is a refresh or a change follows from what the serving one was."""

import json
from typing import Any

from recflow.artifacts.ledger import Served
from recflow.artifacts.manifests import Manifest
from recflow.artifacts.refs import Ref
from recflow.domain.changes import BASE_MODEL, differences, fingerprint, scoring_code, shaping_options, stage_version
from recflow.errors import PermanentError
from recflow.storage import ArtifactStore

UNKNOWN = "what the serving version was made with is not known"
_MADE_FROM = ("model", "checkpoint")


def what_changed(package: Ref, stable: Served | None, artifacts: ArtifactStore) -> tuple[str, ...]:
    """What differs between a package and the serving one; empty for a refresh, and without a stable.

    A package of which it cannot be told counts as different. Raises StoreUnavailable when the store does not answer.
    """
    if stable is None or stable.package == package:
        return ()
    try:
        return package_differences(stable.package, package, artifacts)
    except (PermanentError, ValueError):
        return (UNKNOWN,)


def package_differences(before: Ref, after: Ref, artifacts: ArtifactStore) -> tuple[str, ...]:
    """`option: old → new` for all that shapes two packages' answers beside their data: options, code, base model.

    PermanentError or ValueError where it cannot be told of one of them.
    """
    return differences(_made_with(before, artifacts), _made_with(after, artifacts))


def made_with(package: Ref, artifacts: ArtifactStore) -> str:
    """The fingerprint of all that shapes a package's answers beside the data; empty where it cannot be told."""
    try:
        return fingerprint(_made_with(package, artifacts))
    except (PermanentError, ValueError):
        return ""


def _made_with(package: Ref, artifacts: ArtifactStore) -> dict[str, Any]:
    options = shaping_options(json.loads(artifacts.read(package, "recipe.json") or b""))
    summary = json.loads(artifacts.read(package, "package.json") or b"{}")
    return options | scoring_code(summary.get("rules", {})) | _stages(artifacts.manifest(package), artifacts)


def _stages(manifest: Manifest, artifacts: ArtifactStore) -> dict[str, Any]:
    """The versions of the stages that a package went through, and the weights that its training began with."""
    found = stage_version(manifest.stage, manifest.stage_version)
    if base := manifest.numbers.get("base_model"):
        found[BASE_MODEL] = base
    for name in _MADE_FROM:
        for ref in manifest.inputs.get(name, ()):
            found |= _stages(artifacts.manifest(ref), artifacts)
    return found
