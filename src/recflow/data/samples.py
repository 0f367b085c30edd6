"""Which labelled examples a data set takes: by split, and by replay."""

from collections.abc import Sequence

from recflow.config.sections.data import SplitSection
from recflow.domain.assignment import BUCKETS
from recflow.engine import Engine, Table, Value
from recflow.engine.expressions import bucket, real, running_total, shuffled, when


def splits(unit: Value, section: SplitSection) -> Value:
    """`split.split_of` of a column."""
    percent = real(bucket(section.salt, unit)) * 100 / BUCKETS
    learned = when(percent < section.test_percent + section.validation_percent, "validation", "train")
    return when(percent < section.test_percent, "test", learned)


def replayed(
    engine: Engine, fresh: Table, past: Table, section: SplitSection, seed: str, *, key: Sequence[str], unit: str
) -> Table:
    """Whole units of `past`, without examples that are in `fresh` and test units, `replay_share` of the fresh rows.

    Both tables have their `split`; `key` names an example, `unit` is the column of its unit. Whole units, because what
    lies within one may be learned from together; in a random order that `seed` decides, until they hold the wanted
    rows.
    """
    wanted = section.replay_share * engine.count(fresh.filter(fresh.split != "test"))
    usable = past.filter(past.split != "test").anti_join(fresh, list(key))
    units = usable.group_by(unit).aggregate(rows=usable.count())
    units = units.mutate(place=shuffled(seed, units[unit]))
    units = units.mutate(held=running_total(units.rows, [units.place, units[unit]]))
    return usable.semi_join(units.filter(units.held < wanted), unit)
