"""Relevance's examples: pairs of query and item with a grade, from judgements and behaviour."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from recflow.config.recipe import Recipe
from recflow.config.sections.data import LabelSection
from recflow.config.tasks import section_as
from recflow.engine import Engine, Table, Value
from recflow.engine.expressions import constant, nearest_whole, query_id, running_total, total, when
from recflow.tasks.base import Examples
from recflow.tasks.relevance.labels import label_pairs, of_days, read_events
from recflow.tasks.relevance.negatives import KINDS, negatives_of
from recflow.tasks.relevance.popularity import count_acts
from recflow.tasks.relevance.rows import DATASET
from recflow.tasks.relevance.titles import count_words, write_counted


class RelevanceExamples(Examples):
    """One row a query and item; the query is the unit. Beside them stands what floors and negatives are made of."""

    schema = DATASET
    unit = "query_id"
    key = ("query_id", "item_id")
    expected = "judged pairs, or searches whose labels.attribution_minutes are over"

    def read(self, engine: Engine, partitions: Sequence[tuple[str, Path]]) -> Table:
        """The rows of some days with the ids of their queries."""
        return read_events(engine, partitions)

    def labelled(
        self, engine: Engine, events: Table, days: Sequence[str], span: tuple[datetime, datetime], recipe: Recipe
    ) -> tuple[Table, Table]:
        """Labelled pairs, and how often each query was searched."""
        section = section_as(recipe.labels, LabelSection)
        return label_pairs(engine, of_days(events, days, span, section), section, recipe.outcomes)

    def learned(self, engine: Engine, examples: Table, events: Table, recipe: Recipe, seed: str, output: Path) -> Table:
        """The pairs with negatives beside them; `words.parquet`, `titles.json` and `popularity.parquet` for floors."""
        teaching = [kind.name for kind in recipe.outcomes.kinds if kind.strength > 0]
        acts = engine.keep(count_acts(events.filter(events.split == "train"), teaching))
        write_counted(engine, count_words(engine, examples.filter(examples.split == "train"), self.key), output)
        engine.write(acts, output / "popularity.parquet")
        rows = examples.mutate(negative=constant(""))
        negatives = section_as(recipe.labels, LabelSection).negatives
        if not negatives.wanted:
            return rows
        return engine.keep(rows.union(negatives_of(engine, examples, events, acts, negatives, seed)))

    def finished(self, examples: Table, beside: Table, events: Table, recipe: Recipe) -> Table:
        """The pairs with how often their query is asked."""
        rows = examples if "negative" in examples.columns else examples.mutate(negative=constant(""))
        return with_frequency(rows, beside)

    def unit_of(self, examples: Table) -> Value:
        """The query's id, made anew from its text."""
        return query_id(examples["query"])

    def described(self, engine: Engine, splits: Mapping[str, Table]) -> dict[str, Any]:
        """How many labelled pairs have each grade, and how many negatives there are of each kind."""
        return {
            "grades": {name: _histogram(engine, table) for name, table in splits.items()},
            "negatives": {name: _by_kind(engine, table) for name, table in splits.items()},
        }


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


def _histogram(engine: Engine, table: Table) -> dict[str, int]:
    """How many grades of labelled pairs round to 0, 1, 2 and 3."""
    labelled = table.filter(table.negative == "")
    counted = labelled.group_by(grade=nearest_whole(labelled.grade)).aggregate(rows=labelled.count())
    counts = {int(row["grade"]): int(row["rows"]) for row in engine.fetch(counted).to_pylist()}
    return {str(grade): counts.get(grade, 0) for grade in range(4)}


def _by_kind(engine: Engine, table: Table) -> dict[str, int]:
    counted = table.group_by("negative").aggregate(rows=table.count())
    counts = {row["negative"]: int(row["rows"]) for row in engine.fetch(counted).to_pylist()}
    return {kind: counts.get(kind, 0) for kind in KINDS}
