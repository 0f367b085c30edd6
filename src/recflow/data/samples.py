"""Which labelled pairs a data set takes: by split, by replay, and how often shoppers ask for them."""

from recflow.config.sections.data import SplitSection
from recflow.domain.assignment import BUCKETS
from recflow.engine import Engine, Table, Value
from recflow.engine.expressions import bucket, real, running_total, shuffled, total, when


def splits(query_id: Value, section: SplitSection) -> Value:
    """`split.split_of` of a column."""
    percent = real(bucket(section.salt, query_id)) * 100 / BUCKETS
    learned = when(percent < section.test_percent + section.validation_percent, "validation", "train")
    return when(percent < section.test_percent, "test", learned)


def replayed(engine: Engine, fresh: Table, past: Table, section: SplitSection, seed: str) -> Table:
    """Whole queries of `past`, without pairs that are in `fresh` and test queries, `replay_share` of the fresh rows.

    Both tables have their `split`. Whole queries, because a ranking loss learns from the difference between items of
    one query; in a random order that `seed` decides, until they hold the wanted rows.
    """
    wanted = section.replay_share * engine.count(fresh.filter(fresh.split != "test"))
    usable = past.filter(past.split != "test").anti_join(fresh, ["query_id", "item_id"])
    queries = usable.group_by("query_id").aggregate(rows=usable.count())
    queries = queries.mutate(place=shuffled(seed, queries.query_id))
    queries = queries.mutate(held=running_total(queries.rows, [queries.place, queries.query_id]))
    return usable.semi_join(queries.filter(queries.held < wanted), "query_id")


def with_frequency(rows: Table, searches: Table) -> Table:
    """The rows with `frequency`: the most searched queries that make up the first, second and last third of searches.

    They are head, torso and tail; a query without searches counts as searched once.
    """
    asked = rows.group_by("query_id").aggregate().left_join(searches, "query_id")
    asked = asked.select("query_id", searches=asked.searches.fill_null(1))
    before = running_total(asked.searches, [asked.searches.desc(), asked.query_id])
    share = before / total(asked.searches)
    named = asked.select("query_id", frequency=when(share < 1 / 3, "head", when(share < 2 / 3, "torso", "tail")))
    return rows.inner_join(named, "query_id")
