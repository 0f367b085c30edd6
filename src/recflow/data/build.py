"""build_dataset: partitions become a training set as Hugging Face `datasets` (Arrow on disk)."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from recflow.artifacts.manifests import Manifest
from recflow.artifacts.parents import Parent
from recflow.data.labels import label_partitions
from recflow.data.rows import DATASET
from recflow.data.split import frequencies, histogram, sample_queries, split_of
from recflow.errors import BadData
from recflow.stages import StageContext, StageOutput

Partition = tuple[Manifest, Path]
_Keep = Callable[[dict[str, Any]], bool]


def run(context: StageContext) -> StageOutput:
    """Train and validation rows from the new partitions plus replay, test rows from the evaluation window.

    No query is in two splits. BadData when nothing can be learned from the partitions.
    """
    partitions = [
        (context.artifacts.manifest(ref), context.artifacts.fetch(ref)) for ref in context.inputs["partitions"]
    ]
    partitions.sort(key=lambda partition: partition[0].interval.start)
    new, older = _by_age(context, partitions)
    window = partitions[-context.recipe.split.evaluation_days :]
    tables, replayed = _splits(context, new, older, window)
    for name in ("train", "test"):
        if tables[name].num_rows == 0:
            raise BadData(f"{context.interval.label} gives no {name} rows", expected="labelled pairs", seen="none")
    _save(tables, context.output)
    report = _report(tables, [*new], window, replayed)
    (context.output / "dataset.json").write_text(json.dumps(report, ensure_ascii=False, indent=1))
    numbers: dict[str, Any] = {f"{name}_rows": table.num_rows for name, table in tables.items()}
    return StageOutput(numbers | {"test_queries": report["queries"]["test"], "replay_rows": replayed, "days": len(new)})


def _by_age(context: StageContext, partitions: Sequence[Partition]) -> tuple[list[Partition], list[Partition]]:
    """New partitions and older ones. A rerun of a day that the parent has seen has that day as its new one."""
    parent = Parent.model_validate_json((context.folder("parent") / "parent.json").read_bytes())
    seen = parent.trained_through
    new = [partition for partition in partitions if seen is None or partition[0].interval.end > seen]
    new = new or [partition for partition in partitions if partition[0].interval.label == context.interval.label]
    return new, [partition for partition in partitions if partition not in new]


def _splits(
    context: StageContext, new: Sequence[Partition], older: Sequence[Partition], window: Sequence[Partition]
) -> tuple[dict[str, pa.Table], int]:
    section = context.recipe.split
    fresh, searches = _labelled(context, new)
    replay = _replay(context, fresh, older)
    learned = pa.concat_tables([fresh, replay])
    tables = {
        "train": _rows(learned, lambda row: split_of(row["query_id"], section) == "train", searches),
        "validation": _rows(learned, lambda row: split_of(row["query_id"], section) == "validation", searches),
    }
    judged, searches = _labelled(context, window)
    tables["test"] = _rows(judged, lambda row: split_of(row["query_id"], section) == "test", searches)
    return tables, replay.num_rows


def _labelled(context: StageContext, partitions: Sequence[Partition]) -> tuple[pa.Table, dict[str, int]]:
    files = [(manifest.interval.label, folder / "rows.parquet") for manifest, folder in partitions]
    return label_partitions(files, context.recipe.labels, context.recipe.outcomes)


def _replay(context: StageContext, fresh: pa.Table, older: Sequence[Partition]) -> pa.Table:
    """Whole queries of older partitions, without pairs that are labelled anew, `replay_share` of the new rows."""
    section = context.recipe.split
    if not older or section.replay_share == 0:
        return fresh.slice(0, 0)
    known = set(_pairs(fresh))
    past, _ = _labelled(context, older)
    usable = past.filter(
        pa.array([pair not in known and split_of(pair[0], section) != "test" for pair in _pairs(past)], pa.bool_())
    )
    learnable = sum(split_of(query, section) != "test" for query, _ in known)
    counts = Counter(usable["query_id"].to_pylist())
    chosen = sample_queries(counts, section.replay_share * learnable, context.interval.label)
    return usable.filter(pa.array([query in chosen for query in usable["query_id"].to_pylist()], pa.bool_()))


def _pairs(table: pa.Table) -> list[tuple[str, str]]:
    return list(zip(table["query_id"].to_pylist(), table["item_id"].to_pylist(), strict=True))


def _rows(table: pa.Table, keep: _Keep, searches: dict[str, int]) -> pa.Table:
    rows = [row for row in table.to_pylist() if keep(row)]
    names = frequencies({query: searches.get(query, 1) for query in {row["query_id"] for row in rows}})
    ordered = sorted(rows, key=lambda row: (row["query_id"], row["item_id"]))
    return pa.Table.from_pylist([row | {"frequency": names[row["query_id"]]} for row in ordered], schema=DATASET)


def _save(tables: dict[str, pa.Table], output: Path) -> None:
    from datasets import Dataset, DatasetDict
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    DatasetDict({name: Dataset(table) for name, table in tables.items()}).save_to_disk(output)


def _report(
    tables: dict[str, pa.Table], new: Sequence[Partition], window: Sequence[Partition], replayed: int
) -> dict[str, Any]:
    return {
        "rows": {name: table.num_rows for name, table in tables.items()},
        "queries": {name: len(set(table["query_id"].to_pylist())) for name, table in tables.items()},
        "grades": {name: histogram(table["grade"].to_pylist()) for name, table in tables.items()},
        "days": [manifest.interval.label for manifest, _ in new],
        "evaluation_days": [manifest.interval.label for manifest, _ in window],
        "replay_rows": replayed,
    }
