"""Loads the scorer that a model or package artifact carries: its own code, as it will serve."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from recflow.artifacts.refs import Ref
from recflow.domain.judged import JudgedQuery
from recflow.errors import PermanentError
from recflow.storage import ArtifactStore


class PackagedScorer(Protocol):
    """What `scoring.py` of a model offers."""

    def score_many(self, requests: Sequence[tuple[str, Sequence[str], Sequence[str]]]) -> list[list[float]]:
        """Scores of the items of several requests."""


def open_scorer(artifacts: ArtifactStore, ref: Ref) -> PackagedScorer:
    """The scorer of a model or package; every file's digest is verified before any of its code runs.

    Raises ArtifactCorrupt for changed bytes and PermanentError for a model that does not load.
    """
    folder = artifacts.fetch(ref)
    return load_scorer(folder / "1" if (folder / "1").is_dir() else folder)


def load_scorer(folder: Path) -> PackagedScorer:
    """The scorer of a folder that is known to be sound."""
    spec = importlib.util.spec_from_file_location(
        f"scoring_of_{folder.parent.name}_{folder.name}", folder / "scoring.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return cast("PackagedScorer", module.Scorer(str(folder)))
    except Exception as error:
        raise PermanentError(
            f"the model in {folder.name} does not load",
            expected="scoring.py with its model, tokenizer and rules",
            seen=f"{type(error).__name__}: {error}",
            action="recompute it (`recflow stage compress … --fresh REASON`)",
        ) from error


def score_queries(scorer: PackagedScorer, queries: Sequence[JudgedQuery]) -> list[list[float]]:
    """One list of scores a query."""
    return scorer.score_many([(query.query, query.titles, query.descriptions) for query in queries])
