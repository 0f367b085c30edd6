"""Which units train, stop and judge: a hash of the unit decides, for ever the same."""

from typing import Literal

from recflow.config.sections.data import SplitSection
from recflow.domain.assignment import BUCKETS, bucket

Split = Literal["train", "validation", "test"]


def split_of(unit: str, section: SplitSection) -> Split:
    """The split of a unit by its id: test first, then validation, the rest trains."""
    percent = bucket(section.salt, unit) * 100 / BUCKETS
    if percent < section.test_percent:
        return "test"
    return "validation" if percent < section.test_percent + section.validation_percent else "train"
