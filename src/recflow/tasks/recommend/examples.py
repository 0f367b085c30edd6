"""Recommending's examples: users' acts on items, with what is known of the items beside them.

An act is told once a user, item and day: at its first moment, with the weight of its heaviest kind. Whose acts train,
stop and judge a hash of the user decides. Of a user that trains every act of all partitions is to be predicted; of
another one those of the days that are new, or under evaluation, from what came before them. Where nothing did, the
user's last act is to be predicted from the others.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa

from recflow.config.recipe import Recipe
from recflow.config.tasks import section_as
from recflow.engine import Engine, Table, Value
from recflow.engine.expressions import constant, first_of_each, float32, int32, naive, seconds_after, when
from recflow.errors import BadConfiguration
from recflow.tasks.base import Examples
from recflow.tasks.recommend.catalogue import ITEMS
from recflow.tasks.recommend.sections import RecommendLabels

_NO_ROW = datetime(2000, 1, 1, tzinfo=UTC)


class RecommendExamples(Examples):
    """One row an act; the user is the unit. Beside the splits stands `items.parquet`, the catalogue."""

    schema = pa.schema(
        [
            ("user_key", pa.string()),
            ("item_id", pa.string()),
            ("at", pa.timestamp("us")),
            ("day", pa.string()),
            ("weight", pa.float32()),
            ("country", pa.string()),
            ("label", pa.int32()),
        ]
    )
    unit = "user_key"
    key = ("user_key", "at", "item_id")
    expected = "acts of known users on items, of the kinds that labels.weights names"

    def read(self, engine: Engine, partitions: Sequence[tuple[str, Path]]) -> Table:
        """The rows of some days; those of nobody have an empty user."""
        rows = engine.read_each(dict(partitions), "day")
        return rows.mutate(at=naive(rows["at"]), user_key=rows.user_key.fill_null(""))

    def labelled(
        self, engine: Engine, events: Table, days: Sequence[str], span: tuple[datetime, datetime], recipe: Recipe
    ) -> tuple[Table, Table]:
        """The acts of the days, each to be predicted."""
        _refuse_unknown_kinds(recipe)
        acts = engine.keep(acts_of(events.filter(events.day.isin(list(days))), recipe))
        return acts.mutate(label=int32(constant(1))), acts

    def learned(self, engine: Engine, examples: Table, events: Table, recipe: Recipe, seed: str, output: Path) -> Table:
        """Every act of users that train, and what validates; the catalogue, which counts the former, is written."""
        train = engine.keep(acts_of(events.filter(events.split == "train"), recipe).mutate(split=constant("train")))
        engine.write(items_of(engine, events, train, recipe).order_by("item_id"), output / ITEMS)
        held_out = examples.filter(examples.split != "train")
        return engine.keep(_same_columns(held_out).union(_same_columns(train.mutate(label=int32(constant(1))))))

    def finished(self, examples: Table, beside: Table, events: Table, recipe: Recipe) -> Table:
        """The acts with those that came before them, of which none is to be predicted."""
        first = examples.group_by(["user_key", "split"]).aggregate(first=examples["at"].min())
        acts = acts_of(events, recipe).inner_join(first, "user_key")
        before = acts.filter(acts["at"] < acts["first"]).mutate(label=int32(constant(0)))
        return _with_something_known(_same_columns(examples).union(_same_columns(before)))

    def unit_of(self, examples: Table) -> Value:
        """The user."""
        return examples.user_key

    def described(self, engine: Engine, splits: Mapping[str, Table]) -> dict[str, Any]:
        """How many of the rows are known beforehand, and not to be predicted."""
        return {"known": {name: engine.count(table.filter(table.label == 0)) for name, table in splits.items()}}


def acts_of(events: Table, recipe: Recipe) -> Table:
    """user_key, item_id, day, at, weight, country: each user's acts, once an item and day."""
    weights = section_as(recipe.labels, RecommendLabels).weights
    weight = reduce(
        lambda others, kind: when(events.kind == kind, weights[kind], others), sorted(weights), constant(0.0)
    )
    country = events.country if "country" in events.columns else constant("")
    rows = events.mutate(weight=weight, country=country)
    rows = rows.filter(rows.weight > 0, rows.user_key != "", rows.item_id.notnull())
    return rows.group_by(["user_key", "item_id", "day"]).aggregate(
        at=rows["at"].min(), weight=float32(rows.weight.max()), country=rows.country.max().fill_null("")
    )


def items_of(engine: Engine, events: Table, train: Table, recipe: Recipe) -> Table:
    """Every item that a row names: its newest text, its first day, whether it is to be had, and acts that train."""
    named = events.filter(events.item_id.notnull())
    newest = [named.title.isnull(), named.day.desc(), named.event_id.desc(), named.title]
    texts = first_of_each(named, ["item_id"], newest).select("item_id", "title", "category")
    seen = named.group_by("item_id").aggregate(first_day=named.day.min(), last=named["at"].max())
    counted = train.group_by("item_id").aggregate(acts=train.count())
    items = texts.inner_join(seen, "item_id").left_join(counted, "item_id")
    return items.select(
        "item_id",
        "first_day",
        text=(items.title.fill_null("") + " " + items.category.fill_null("")).strip(),
        available=seconds_after(_oldest_row(engine, events, recipe), items["last"]) >= 0,
        interactions=items.acts.fill_null(0),
    )


def _oldest_row(engine: Engine, events: Table, recipe: Recipe) -> datetime:
    """The time from which on a row says that an item is to be had."""
    (newest,) = engine.fetch(events.aggregate(newest=events["at"].max()))["newest"].to_pylist()
    days = section_as(recipe.labels, RecommendLabels).available_days
    return (newest or _NO_ROW).replace(tzinfo=UTC) - timedelta(days=days)


def _same_columns(acts: Table) -> Table:
    return acts.select(*RecommendExamples.schema.names, "split").mutate(at=naive(acts["at"]))


def _with_something_known(rows: Table) -> Table:
    """The rows; of a held-out user without a known act only those of the last moment are to be predicted."""
    users = rows.group_by("user_key").aggregate(
        known=lambda acts: (acts.label == 0).sum(), last=lambda acts: acts["at"].max()
    )
    rows = rows.inner_join(users, "user_key")
    turned = (rows.split != "train") & (rows.known == 0) & (rows["at"] < rows["last"])
    return rows.mutate(label=int32(when(turned, 0, rows.label)))


def _refuse_unknown_kinds(recipe: Recipe) -> None:
    known = {*(kind.name for kind in recipe.outcomes.kinds), *recipe.data.other_kinds}
    if strange := sorted(set(section_as(recipe.labels, RecommendLabels).weights) - known):
        raise BadConfiguration(
            "labels.weights names kinds that no row can have",
            expected=", ".join(sorted(known)),
            seen=", ".join(strange),
            action="name them in outcomes.kinds or data.other_kinds, or leave them out",
        )
