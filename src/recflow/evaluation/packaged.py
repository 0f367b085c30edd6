"""Loads what a package artifact carries: its own code, which answers here as it will serve."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

from recflow.artifacts.refs import Ref, RefKind
from recflow.domain.answers import Answer, Process, answer
from recflow.domain.served_code import load_code, load_scorer
from recflow.errors import PermanentError
from recflow.storage import ArtifactStore


@dataclass(frozen=True)
class Package:
    """A package's scorer and its post-processing."""

    scorer: Any
    process: Process

    def answers(self, requests: Sequence[Any]) -> list[Answer]:
        """What shoppers would see of each request, as the scorer reads it: final scores, or why there are none."""
        return answer(self.scorer, self.process, requests)


def open_package(artifacts: ArtifactStore, ref: Ref) -> Package:
    """The package of a reference; every file's digest is verified before any of its code runs.

    Raises ArtifactCorrupt for changed bytes and PermanentError for a model that does not load.
    """
    return load_package(artifacts.fetch(ref.expect(RefKind.PACKAGE)))


def load_package(folder: Path) -> Package:
    """The package of a folder that is known to be sound.

    Post-processing that does not load is no error here: it answers no request, and the gate counts those.
    """
    return Package(_load_scorer(folder / "1"), _load_process(folder / "1" / "post_processing.py"))


def _load_scorer(folder: Path) -> Any:
    try:
        return load_scorer(folder)
    except Exception as error:
        raise PermanentError(
            f"the model in {folder.parent.name} does not load",
            expected="scoring.py with its model, tokenizer and rules",
            seen=f"{type(error).__name__}: {error}",
            action="recompute it (`recflow stage compress … --fresh REASON`)",
        ) from error


def _load_process(path: Path) -> Process:
    if not path.exists():
        return list
    try:
        return cast("Process", load_code(path).process)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the recipe's own code, whatever it raises
        return _refusing(error)


def _refusing(error: BaseException) -> Process:
    def process(scores: list[float]) -> NoReturn:
        raise error

    return process
