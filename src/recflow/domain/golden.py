"""Golden requests: what a package must answer, on any server, at any time."""

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from recflow.artifacts.frozen import Frozen
from recflow.errors import ArtifactCorrupt

GOLDEN = "golden.json"


class GoldenRequest(Frozen):
    """One request with the scores that the package was published with, one an item."""

    query: str
    titles: tuple[str, ...]
    descriptions: tuple[str, ...]
    scores: tuple[float, ...]

    def first(self, items: int) -> "GoldenRequest":
        """The request for its first items only."""
        kept = {name: getattr(self, name)[:items] for name in ("titles", "descriptions", "scores")}
        return self.model_copy(update=kept)


def read_golden(package: Path) -> tuple[GoldenRequest, ...]:
    """The golden requests of a package folder; ArtifactCorrupt when there are none."""
    try:
        requests = tuple(GoldenRequest.model_validate(item) for item in json.loads((package / GOLDEN).read_bytes()))
    except (OSError, ValueError) as error:
        raise ArtifactCorrupt(f"{GOLDEN} of a package cannot be read", expected="requests", seen=str(error)) from error
    if not requests:
        raise ArtifactCorrupt(f"{GOLDEN} of a package is empty", expected="at least one request", seen="none")
    return requests


def is_strict(package: Path) -> bool:
    """Whether scores must match; with post-processing the scale may differ and only the order must match."""
    return not (package / "1" / "post_processing.py").exists()


def agrees(expected: Sequence[float], seen: Sequence[float], atol: float, *, strict: bool) -> bool:
    """Whether an answer is the golden one: score by score within `atol`, or in order where `strict` is False.

    Two items whose golden scores are within twice `atol` of each other may stand in any order.
    """
    if len(expected) != len(seen):
        return False
    if strict:
        return all(abs(golden - score) <= atol for golden, score in zip(expected, seen, strict=True))
    pairs = combinations(zip(expected, seen, strict=True), 2)
    return all((a - b) * (x - y) >= 0 for (a, x), (b, y) in pairs if abs(a - b) > 2 * atol)
