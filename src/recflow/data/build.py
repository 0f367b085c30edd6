"""build_dataset: partitions become a training set as Hugging Face `datasets` (Arrow on disk)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recflow.artifacts.manifests import Manifest
from recflow.artifacts.parents import Parent
from recflow.config.sections.data import LabelSection
from recflow.config.tasks import section_as
from recflow.data.labels import label_pairs, of_days, read_events
from recflow.data.leaks import refuse_leaks, refuse_the_future
from recflow.data.negatives import KINDS, negatives_of
from recflow.data.popularity import count_acts
from recflow.data.rows import DATASET, ROWS
from recflow.data.samples import replayed, splits, with_frequency
from recflow.data.titles import CountedTitles, count_words, write_counted
from recflow.engine import Engine, OpenEngine, Table, parquet_files
from recflow.engine.expressions import constant, nearest_whole
from recflow.errors import BadData
from recflow.stages import StageContext, StageOutput

Partition = tuple[Manifest, Path]


def run(context: StageContext, *, engine: OpenEngine) -> StageOutput:
    """Train and validation rows from the new partitions plus replay, test rows from the evaluation window.

    No query is in two splits. Beside the rows stands what floors are made of: `words.parquet`, `titles.json`,
    `popularity.parquet`.
    BadData when nothing can be learned from the partitions, PermanentError for a partition of the future.
    """
    pinned = [(context.artifacts.manifest(ref), context.artifacts.fetch(ref)) for ref in context.inputs["partitions"]]
    refuse_the_future([manifest for manifest, _ in pinned], context.interval)
    partitions = sorted(pinned, key=lambda partition: partition[0].interval.start)
    new, older = _by_age(context, partitions)
    window = partitions[-context.recipe.split.evaluation_days :]
    with TemporaryDirectory(dir=context.output.parent, prefix="labelled-") as folder, engine(Path(folder)) as opened:
        made = _splits(context, opened, partitions, new, older, window)
        late_s = 60.0 * context.recipe.labels.attribution_minutes
        refuse_leaks(opened, made.splits, made.events, context.interval, acts_after_s=late_s)
        report = _report(opened, made) | {
            "days": [manifest.interval.label for manifest, _ in new],
            "evaluation_days": [manifest.interval.label for manifest, _ in window],
        }
        for name in ("train", "test"):
            if report["rows"][name] == 0:
                raise BadData(
                    f"{context.interval.label} gives no {name} rows",
                    expected="judged pairs, or searches whose labels.attribution_minutes are over",
                    seen="none",
                )
        write_counted(opened, made.counted, context.output)
        opened.write(made.popularity, context.output / "popularity.parquet")
        _save(opened, made.splits, Path(folder), context.output)
    (context.output / "dataset.json").write_text(json.dumps(report, ensure_ascii=False, indent=1))
    numbers: dict[str, Any] = {f"{name}_rows": rows for name, rows in report["rows"].items()}
    counted = {"test_queries": report["queries"]["test"], "replay_rows": made.replayed_rows, "days": len(new)}
    return StageOutput(numbers | counted)


@dataclass(frozen=True)
class _Made:
    """The rows of each split, the events that they were made of, and what floors are made of: words, acts by item."""

    events: Table
    splits: Mapping[str, Table]
    replayed_rows: int
    counted: CountedTitles
    popularity: Table


def _by_age(context: StageContext, partitions: Sequence[Partition]) -> tuple[list[Partition], list[Partition]]:
    """New partitions and older ones. A rerun of a day that the parent has seen has that day as its new one."""
    parent = Parent.model_validate_json((context.folder("parent") / "parent.json").read_bytes())
    seen = parent.trained_through
    new = [partition for partition in partitions if seen is None or partition[0].interval.end > seen]
    new = new or [partition for partition in partitions if partition[0].interval.label == context.interval.label]
    return new, [partition for partition in partitions if partition not in new]


def _splits(
    context: StageContext,
    engine: Engine,
    partitions: Sequence[Partition],
    new: Sequence[Partition],
    older: Sequence[Partition],
    window: Sequence[Partition],
) -> _Made:
    recipe, seed = context.recipe, context.interval.label
    negatives = section_as(recipe.labels, LabelSection).negatives
    fresh, searches = _labelled(context, engine, partitions, new)
    learned, replayed_rows = fresh, 0
    if older and recipe.split.replay_share > 0:
        past, _ = _labelled(context, engine, partitions, older)
        replay = engine.keep(replayed(engine, fresh, past, recipe.split, seed))
        learned, replayed_rows = fresh.union(replay), engine.count(replay)
    learned = engine.keep(learned.filter(learned.split != "test"))
    events = read_events(engine, _files(partitions))
    acts = _popularity(context, engine, events)
    counted = count_words(engine, learned.filter(learned.split == "train"), ["query_id", "item_id"])
    rows = learned.mutate(negative=constant(""))
    if negatives.wanted:
        rows = engine.keep(rows.union(negatives_of(engine, learned, events, acts, negatives, seed)))
    judged, asked = (fresh, searches) if window == new else _labelled(context, engine, partitions, window)
    test = judged.filter(judged.split == "test").mutate(negative=constant(""))
    tables = {name: (rows.filter(rows.split == name), searches) for name in ("train", "validation")}
    named = {name: engine.keep(with_frequency(*pair)) for name, pair in {**tables, "test": (test, asked)}.items()}
    return _Made(events, named, replayed_rows, counted, acts)


def _labelled(
    context: StageContext, engine: Engine, partitions: Sequence[Partition], days: Sequence[Partition]
) -> tuple[Table, Table]:
    """Labelled pairs of some days with their split, and how often each query was searched.

    Of the days before them the last searches are read as well, whose acts could come on these days only.
    """
    recipe, start, end = context.recipe, days[0][0].interval.start, days[-1][0].interval.end
    section = section_as(recipe.labels, LabelSection)
    reach = start - timedelta(minutes=recipe.labels.attribution_minutes)
    before = [one for one in partitions if one not in days and reach < one[0].interval.end <= start]
    events = read_events(engine, _files([*before, *days]))
    labels = [manifest.interval.label for manifest, _ in days]
    pairs, searches = label_pairs(engine, of_days(events, labels, (start, end), section), section, recipe.outcomes)
    return engine.keep(pairs.mutate(split=splits(pairs.query_id, recipe.split))), searches


def _files(partitions: Sequence[Partition]) -> list[tuple[str, Path]]:
    return [(manifest.interval.label, folder / ROWS) for manifest, folder in partitions]


def _popularity(context: StageContext, engine: Engine, events: Table) -> Table:
    """The acts on each item, by queries that train."""
    teaching = [kind.name for kind in context.recipe.outcomes.kinds if kind.strength > 0]
    train = events.filter(splits(events.query_id, context.recipe.split) == "train")
    return engine.keep(count_acts(train, teaching))


def _save(engine: Engine, tables: Mapping[str, Table], scratch: Path, output: Path) -> None:
    from datasets import Dataset, DatasetDict
    from datasets.arrow_writer import ArrowWriter
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    saved = {}
    for name, table in tables.items():
        path = scratch / f"{name}.arrow"
        with ArrowWriter(path=str(path), schema=DATASET) as writer:
            for batch in _batches(engine, table, scratch / f"{name}.parquet"):
                writer.write_table(batch)
            writer.finalize()
        saved[name] = Dataset.from_file(str(path))
    DatasetDict(saved).save_to_disk(output)


def _batches(engine: Engine, table: Table, path: Path) -> Iterator[pa.Table]:
    """The rows in the order of their pairs, some at a time."""
    ordered = table.order_by(["query_id", "item_id"])
    engine.write(ordered.select(*DATASET.names), path)
    for file in parquet_files(path):
        for batch in pq.ParquetFile(file).iter_batches():
            yield pa.Table.from_batches([batch])


def _report(engine: Engine, made: _Made) -> dict[str, Any]:
    counts = {
        name: engine.fetch(table.aggregate(rows=table.count(), queries=table.query_id.nunique())).to_pylist()[0]
        for name, table in made.splits.items()
    }
    return {
        "rows": {name: int(count["rows"]) for name, count in counts.items()},
        "queries": {name: int(count["queries"]) for name, count in counts.items()},
        "grades": {name: _histogram(engine, table) for name, table in made.splits.items()},
        "negatives": {name: _by_kind(engine, table) for name, table in made.splits.items()},
        "replay_rows": made.replayed_rows,
    }


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
