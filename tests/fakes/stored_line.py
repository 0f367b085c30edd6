"""A day of a small line as its stages stored it: tests/fixtures/line_1, which is never made anew.

`store` has what was published (of the model its manifest alone), `search.yaml` the recipe as it was written then, and
`scores.json` what the checkpoint answered to the test queries, one list a query.
"""

import json
from pathlib import Path

from fakes.memory_store import MemoryStore
from recflow.artifacts.manifests import Manifest
from recflow.artifacts.refs import Ref, RefKind
from recflow.config.recipe_loader import load_recipe
from recflow.storage import ArtifactStore

_KEPT = Path(__file__).parents[1] / "fixtures" / "line_1"
RECIPE = load_recipe(_KEPT / "search.yaml")
SCORES: list[list[float]] = json.loads((_KEPT / "scores.json").read_text())
KINDS = {
    "build_dataset": RefKind.DATASET,
    "fine_tune": RefKind.CHECKPOINT,
    "compress": RefKind.MODEL,
    "package": RefKind.PACKAGE,
    "offline_gate": RefKind.DECISION,
}


def stored_artifacts(cache: Path) -> ArtifactStore:
    """What was published, in a store of its own."""
    store = MemoryStore()
    for path in (_KEPT / "store").rglob("*"):
        if path.is_file():
            store.put(path.relative_to(_KEPT / "store").as_posix(), path)
    return ArtifactStore(store, cache)


def stored(artifacts: ArtifactStore, stage: str) -> tuple[Ref, Manifest]:
    """The only result of a stage."""
    [key] = {key.split("/")[2] for key in artifacts.store.list(f"search/{KINDS[stage].folder}/")}
    found = artifacts.find("search", KINDS[stage], key)
    assert found is not None
    return found
