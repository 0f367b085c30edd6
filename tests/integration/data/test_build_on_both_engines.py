"""One shop's days, labelled and split on each engine."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fakes.deliveries import day, recipe
from fakes.engines import duckdb_engine
from recflow.config.sections.data import DataSection
from recflow.data.checks import with_evidence
from recflow.data.clean import clean
from recflow.data.rows import COLUMNS, PLACE
from recflow.data.sample.shop import SampleShop, write_shop
from recflow.data.samples import replayed, splits
from recflow.data.sources import open_source
from recflow.engine.expressions import float32, in_utc, int32
from recflow.tasks.relevance.examples import with_frequency
from recflow.tasks.relevance.labels import label_pairs, read_events

# A cluster of four Java processes gets on slowly beside other work.
pytestmark = pytest.mark.timeout(900)

SETTINGS = recipe("shop", split={"replay_share": 0.3})
NAMED = {"key": ("query_id", "item_id"), "unit": "query_id"}


def rows_of_day(opened, shop, number, folder):
    """The typed rows of a day, unjudged, as a partition holds them."""
    delivery = open_source(recipe("shop", str(shop)), shop.as_uri()).deliver(day(number), folder)
    rows = clean(opened, opened.read(delivery.files), "day", DataSection(max_duplicate_share=0.5)).rows
    kept = with_evidence(opened, rows, day(number), SETTINGS)
    kept = kept.filter(kept.shown, kept.request_id.notnull(), kept["at"].notnull(), kept.position > 0)
    kept = kept.filter(kept["query"].notnull(), kept.title.notnull())
    typed = {name: kept[name] for name in COLUMNS} | {"at": in_utc(kept["at"]), "position": int32(kept.position)}
    return kept.select(*PLACE, **(typed | {"grade": float32(kept.grade), "value": float32(kept.value)}))


def build(open_engine, shop):
    """Labelled, split, replayed and named rows of two days, in the order of pairs."""
    with TemporaryDirectory() as folder, open_engine(Path(folder)) as opened:
        files = []
        for number in range(2):
            (Path(folder) / f"{number}").mkdir()
            path = Path(folder) / f"{number}" / "rows.parquet"
            opened.write(rows_of_day(opened, shop, number, path.parent).select(*COLUMNS), path)
            files.append((day(number).label, path))
        labelled = [
            label_pairs(opened, read_events(opened, [file]), SETTINGS.labels, SETTINGS.outcomes) for file in files
        ]
        past, fresh = (pairs.mutate(split=splits(pairs.query_id, SETTINGS.split)) for pairs, _ in labelled)
        replay = opened.keep(replayed(opened, opened.keep(fresh), opened.keep(past), SETTINGS.split, "seed", **NAMED))
        rows = with_frequency(opened.keep(fresh.union(replay)), labelled[1][1])
        return opened.fetch(rows.order_by(["query_id", "item_id"])).to_pylist()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    write_shop(SampleShop(days=2, rows=2_000, queries=25, users=100), folder)
    return folder


def test_both_engines_label_split_and_replay_the_same_rows(shop, spark_engine):
    here, there = (build(open_engine, shop) for open_engine in (duckdb_engine, spark_engine))
    assert len(here) > 50
    assert {row["split"] for row in here} == {"train", "validation", "test"}
    assert [{**row, "weight": pytest.approx(row["weight"])} for row in here] == there
