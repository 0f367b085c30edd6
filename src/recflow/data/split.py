"""Which queries train, stop and judge: a hash of the query decides, for ever the same."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Literal

from recflow.config.sections.data import SplitSection
from recflow.domain.assignment import BUCKETS, bucket

Split = Literal["train", "validation", "test"]
Frequency = Literal["head", "torso", "tail"]


def split_of(query: str, section: SplitSection) -> Split:
    """The split of a query id: test first, then validation, the rest trains."""
    percent = bucket(section.salt, query) * 100 / BUCKETS
    if percent < section.test_percent:
        return "test"
    return "validation" if percent < section.test_percent + section.validation_percent else "train"


def sample_queries(rows: Mapping[str, int], wanted: float, seed: str) -> set[str]:
    """Whole queries, in the order of a seeded hash, until they hold `wanted` rows; `rows` counts rows a query.

    Whole queries, because a ranking loss learns from the difference between items of one query.
    """
    chosen: set[str] = set()
    held = 0
    for name in sorted(rows, key=lambda query: hashlib.sha256(f"{seed}\x00{query}".encode()).digest()):
        if held >= wanted:
            break
        chosen.add(name)
        held += rows[name]
    return chosen


def frequencies(searches: Mapping[str, int]) -> dict[str, Frequency]:
    """Head, torso and tail: the most searched queries that make up the first, second and last third of all searches."""
    total = sum(searches.values())
    named: dict[str, Frequency] = {}
    before = 0
    for name in sorted(searches, key=lambda query: (-searches[query], query)):
        named[name] = _third(before / total)
        before += searches[name]
    return named


def _third(share: float) -> Frequency:
    if share < 1 / 3:
        return "head"
    return "torso" if share < 2 / 3 else "tail"


def histogram(grades: Iterable[float]) -> dict[str, int]:
    """How many grades round to 0, 1, 2 and 3."""
    counts = {str(grade): 0 for grade in range(4)}
    for grade in grades:
        counts[str(min(3, int(grade + 0.5)))] += 1
    return counts
