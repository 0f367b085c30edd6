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
from recflow.data.leaks import refuse_leaks, refuse_the_future
from recflow.data.rows import ROWS
from recflow.data.samples import replayed, splits
from recflow.engine import Engine, OpenEngine, Table, parquet_files
from recflow.errors import BadData
from recflow.stages import StageContext, StageOutput
from recflow.tasks.base import Examples, Task

Partition = tuple[Manifest, Path]


def run(context: StageContext, *, engine: OpenEngine, task: Task) -> StageOutput:
    """Train and validation rows from the new partitions plus replay, test rows from the evaluation window.

    No unit is in two splits. Beside the rows stands what the task makes its floors of.
    BadData when nothing can be learned from the partitions, PermanentError for a partition of the future.
    """
    pinned = [(context.artifacts.manifest(ref), context.artifacts.fetch(ref)) for ref in context.inputs["partitions"]]
    refuse_the_future([manifest for manifest, _ in pinned], context.interval)
    partitions = sorted(pinned, key=lambda partition: partition[0].interval.start)
    new, older = _by_age(context, partitions)
    window = partitions[-context.recipe.split.evaluation_days :]
    with TemporaryDirectory(dir=context.output.parent, prefix="labelled-") as folder, engine(Path(folder)) as opened:
        made = _Maker(context, opened, task.examples(), partitions).make(new, older, window)
        late_s = 60.0 * context.recipe.labels.attribution_minutes
        refuse_leaks(opened, made.splits, made.events, context.interval, task, acts_after_s=late_s)
        report = _report(opened, made, task) | {
            "days": [manifest.interval.label for manifest, _ in new],
            "evaluation_days": [manifest.interval.label for manifest, _ in window],
        }
        for name in ("train", "test"):
            if report["rows"][name] == 0:
                raise BadData(
                    f"{context.interval.label} gives no {name} rows",
                    expected=task.examples().expected,
                    seen="none",
                )
        _save(opened, made.splits, task.examples(), Path(folder), context.output)
    (context.output / "dataset.json").write_text(json.dumps(report, ensure_ascii=False, indent=1))
    numbers: dict[str, Any] = {f"{name}_rows": rows for name, rows in report["rows"].items()}
    units = task.metrics.units
    counted = {f"test_{units}": report[units]["test"], "replay_rows": made.replayed_rows, "days": len(new)}
    return StageOutput(numbers | counted)


@dataclass(frozen=True)
class _Made:
    """The rows of each split, and the events that they were made of."""

    events: Table
    splits: Mapping[str, Table]
    replayed_rows: int


def _by_age(context: StageContext, partitions: Sequence[Partition]) -> tuple[list[Partition], list[Partition]]:
    """New partitions and older ones. A rerun of a day that the parent has seen has that day as its new one."""
    parent = Parent.model_validate_json((context.folder("parent") / "parent.json").read_bytes())
    seen = parent.trained_through
    new = [partition for partition in partitions if seen is None or partition[0].interval.end > seen]
    new = new or [partition for partition in partitions if partition[0].interval.label == context.interval.label]
    return new, [partition for partition in partitions if partition not in new]


@dataclass(frozen=True)
class _Maker:
    """Makes the splits of a data set from all partitions that are pinned."""

    context: StageContext
    engine: Engine
    examples: Examples
    partitions: Sequence[Partition]

    def make(self, new: Sequence[Partition], older: Sequence[Partition], window: Sequence[Partition]) -> _Made:
        engine, examples = self.engine, self.examples
        recipe, seed = self.context.recipe, self.context.interval.label
        fresh, beside = self._labelled(new)
        learned, replayed_rows = fresh, 0
        if older and recipe.split.replay_share > 0:
            past, _ = self._labelled(older)
            taken = replayed(engine, fresh, past, recipe.split, seed, key=examples.key, unit=examples.unit)
            replay = engine.keep(taken)
            learned, replayed_rows = fresh.union(replay), engine.count(replay)
        learned = engine.keep(learned.filter(learned.split != "test"))
        events = examples.read(engine, _files(self.partitions))
        dealt = events.mutate(split=splits(events[examples.unit], recipe.split))
        rows = examples.learned(engine, learned, dealt, recipe, seed, self.context.output)
        judged, judged_beside = (fresh, beside) if window == new else self._labelled(window)
        tables = {name: (rows.filter(rows.split == name), beside) for name in ("train", "validation")}
        tables["test"] = judged.filter(judged.split == "test"), judged_beside
        made = {name: engine.keep(examples.finished(*pair, dealt, recipe)) for name, pair in tables.items()}
        return _Made(events, made, replayed_rows)

    def _labelled(self, days: Sequence[Partition]) -> tuple[Table, Table]:
        """Labelled examples of some days with their split, and what the task tells of their units.

        Of the days before them the last rows are read as well, acts on which could come on these days only.
        """
        recipe, start, end = self.context.recipe, days[0][0].interval.start, days[-1][0].interval.end
        reach = start - timedelta(minutes=recipe.labels.attribution_minutes)
        before = [one for one in self.partitions if one not in days and reach < one[0].interval.end <= start]
        events = self.examples.read(self.engine, _files([*before, *days]))
        labels = [manifest.interval.label for manifest, _ in days]
        found, beside = self.examples.labelled(self.engine, events, labels, (start, end), recipe)
        return self.engine.keep(found.mutate(split=splits(found[self.examples.unit], recipe.split))), beside


def _files(partitions: Sequence[Partition]) -> list[tuple[str, Path]]:
    return [(manifest.interval.label, folder / ROWS) for manifest, folder in partitions]


def _save(engine: Engine, tables: Mapping[str, Table], examples: Examples, scratch: Path, output: Path) -> None:
    from datasets import Dataset, DatasetDict
    from datasets.arrow_writer import ArrowWriter
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    saved = {}
    for name, table in tables.items():
        path = scratch / f"{name}.arrow"
        with ArrowWriter(path=str(path), schema=examples.schema) as writer:
            for batch in _batches(engine, table, examples, scratch / f"{name}.parquet"):
                writer.write_table(batch)
            writer.finalize()
        saved[name] = Dataset.from_file(str(path))
    DatasetDict(saved).save_to_disk(output)


def _batches(engine: Engine, table: Table, examples: Examples, path: Path) -> Iterator[pa.Table]:
    """The rows in the order of their keys, some at a time."""
    ordered = table.order_by(list(examples.key))
    engine.write(ordered.select(*examples.schema.names), path)
    for file in parquet_files(path):
        for batch in pq.ParquetFile(file).iter_batches():
            yield pa.Table.from_batches([batch])


def _report(engine: Engine, made: _Made, task: Task) -> dict[str, Any]:
    examples = task.examples()
    counts = {
        name: engine.fetch(table.aggregate(rows=table.count(), units=table[examples.unit].nunique())).to_pylist()[0]
        for name, table in made.splits.items()
    }
    return {
        "rows": {name: int(count["rows"]) for name, count in counts.items()},
        task.metrics.units: {name: int(count["units"]) for name, count in counts.items()},
        **examples.described(engine, made.splits),
        "replay_rows": made.replayed_rows,
    }
