"""What reading, tokenising and planning hold in memory does not grow with the rows."""

import tracemalloc

import datasets
import pytest

from fakes.small_models import judged_row
from recflow.config.sections.training import TrainingSection
from recflow.domain.judged import judged_split
from recflow.training.batches import epoch_batches
from recflow.training.features import feature_names
from recflow.training.run import tokenise
from recflow.training.stored import store_queries

SECTION = TrainingSection()
WEIGHTS = dict.fromkeys(feature_names(SECTION.views), 0.1)


def numbered(texts):
    return [tuple(range(len(text))) for text in texts]


def peak_bytes(queries, folder):
    rows = [
        judged_row(f"query {n}", f"{n} {n}", float(item), item=f"{n}-{item}") for n in range(queries) for item in (0, 3)
    ]
    table = datasets.Dataset.from_dict({name: [row[name] for row in rows] for name in rows[0]})
    del rows
    tracemalloc.start()
    try:
        split = judged_split(table, "train")
        stored = store_queries(tokenise(split, SECTION, numbered, WEIGHTS), folder, views=len(SECTION.views))
        batches = epoch_batches(stored, SECTION.token_budget, seed=1, epoch=0)
        assert sum(len(batch) for batch in batches) == queries
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_three_times_the_rows_hold_hardly_more(tmp_path):
    few, many = (peak_bytes(queries, tmp_path / str(queries)) for queries in (600, 1_800))
    assert many < 1.2 * few


def test_the_measure_sees_what_is_held(tmp_path):
    def held(queries):
        tracemalloc.start()
        kept = [numbered([f"{n} " * 20]) for n in range(queries)]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak if kept else 0

    assert held(4_500) == pytest.approx(3 * held(1_500), rel=0.2)
