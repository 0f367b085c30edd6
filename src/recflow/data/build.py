"""build_dataset: partitions become a training set as Hugging Face `datasets` (Arrow on disk)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recflow.artifacts.manifests import Manifest
from recflow.artifacts.parents import Parent
from recflow.data.labels import label_partitions
from recflow.data.rows import DATASET, ROWS
from recflow.data.samples import replayed, splits, with_frequency
from recflow.engine import Engine, OpenEngine, Table, parquet_files
from recflow.engine.expressions import nearest_whole
from recflow.errors import BadData
from recflow.stages import StageContext, StageOutput

Partition = tuple[Manifest, Path]


def run(context: StageContext, *, engine: OpenEngine) -> StageOutput:
    """Train and validation rows from the new partitions plus replay, test rows from the evaluation window.

    No query is in two splits. BadData when nothing can be learned from the partitions.
    """
    pinned = [(context.artifacts.manifest(ref), context.artifacts.fetch(ref)) for ref in context.inputs["partitions"]]
    partitions = sorted(pinned, key=lambda partition: partition[0].interval.start)
    new, older = _by_age(context, partitions)
    window = partitions[-context.recipe.split.evaluation_days :]
    with TemporaryDirectory(dir=context.output.parent, prefix="labelled-") as folder, engine(Path(folder)) as opened:
        tables, replayed_rows = _splits(context, opened, new, older, window)
        report = _report(opened, tables) | {
            "days": [manifest.interval.label for manifest, _ in new],
            "evaluation_days": [manifest.interval.label for manifest, _ in window],
            "replay_rows": replayed_rows,
        }
        for name in ("train", "test"):
            if report["rows"][name] == 0:
                raise BadData(f"{context.interval.label} gives no {name} rows", expected="labelled pairs", seen="none")
        _save(opened, tables, Path(folder), context.output)
    (context.output / "dataset.json").write_text(json.dumps(report, ensure_ascii=False, indent=1))
    numbers: dict[str, Any] = {f"{name}_rows": rows for name, rows in report["rows"].items()}
    counted = {"test_queries": report["queries"]["test"], "replay_rows": replayed_rows, "days": len(new)}
    return StageOutput(numbers | counted)


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
    new: Sequence[Partition],
    older: Sequence[Partition],
    window: Sequence[Partition],
) -> tuple[dict[str, Table], int]:
    """The rows of each split, and how many of them are replayed."""
    section = context.recipe.split
    fresh, searches = _labelled(context, engine, new)
    learned, replayed_rows = fresh, 0
    if older and section.replay_share > 0:
        past, _ = _labelled(context, engine, older)
        replay = engine.keep(replayed(engine, fresh, past, section, context.interval.label))
        learned, replayed_rows = fresh.union(replay), engine.count(replay)
    judged, asked = _labelled(context, engine, window)
    rows = {name: learned.filter(learned.split == name) for name in ("train", "validation")}
    tables = {name: engine.keep(with_frequency(table, searches)) for name, table in rows.items()}
    tables["test"] = engine.keep(with_frequency(judged.filter(judged.split == "test"), asked))
    return tables, replayed_rows


def _labelled(context: StageContext, engine: Engine, partitions: Sequence[Partition]) -> tuple[Table, Table]:
    """Labelled pairs with their split, and how often each query was searched."""
    files = [(manifest.interval.label, folder / ROWS) for manifest, folder in partitions]
    recipe = context.recipe
    pairs, searches = label_partitions(engine, files, recipe.labels, recipe.outcomes)
    return engine.keep(pairs.mutate(split=splits(pairs.query_id, recipe.split))), searches


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


def _report(engine: Engine, tables: Mapping[str, Table]) -> dict[str, Any]:
    counts = {
        name: engine.fetch(table.aggregate(rows=table.count(), queries=table.query_id.nunique())).to_pylist()[0]
        for name, table in tables.items()
    }
    return {
        "rows": {name: int(count["rows"]) for name, count in counts.items()},
        "queries": {name: int(count["queries"]) for name, count in counts.items()},
        "grades": {name: _histogram(engine, table) for name, table in tables.items()},
    }


def _histogram(engine: Engine, table: Table) -> dict[str, int]:
    """How many grades round to 0, 1, 2 and 3."""
    counted = table.group_by(grade=nearest_whole(table.grade)).aggregate(rows=table.count())
    counts = {int(row["grade"]): int(row["rows"]) for row in engine.fetch(counted).to_pylist()}
    return {str(grade): counts.get(grade, 0) for grade in range(4)}
