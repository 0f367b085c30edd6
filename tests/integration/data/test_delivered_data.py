"""Events as real systems write them; counts as in the data sets' SOURCE.md."""

import tarfile
import tempfile
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fakes.deliveries import Read, day, recipe
from recflow.data.sources import open_source
from recflow.domain.intervals import day_interval


def tables(*events, **source):
    return recipe(data={"source": {"adapter": "tables", "events": list(events), **source}})


@pytest.fixture
def ubi(data_folder, tmp_path):
    lines = (data_folder("esci-us-ubi-sample") / "ubi_queries_events.ndjson").read_text().splitlines()
    (tmp_path / "ubi-2011-01-01.ndjson").write_text("\n".join(line for line in lines if '"action_name"' in line))
    return tmp_path


def test_events_with_times_of_two_types_are_all_read(ubi):
    columns = {
        "event_id": "query_id",
        "at": {"column": "timestamp", "time": ["iso", "milliseconds"]},
        "kind": {"column": "action_name", "map": {"add_to_cart": "cart"}},
        "item_id": {"column": "event_attributes.object.object_id", "optional": True},
    }
    rows = Read(tables({"files": ["ubi-{date:%Y-%m-%d}.ndjson"], "columns": columns}), ubi).rows(day())
    assert rows.num_rows == 3_448
    assert rows["kind"].to_pylist().count("cart") == 234
    assert all(datetime.fromisoformat(at).utcoffset() is not None for at in rows["at"].to_pylist())


def test_judgements_with_line_ends_and_quotes_in_their_texts_are_all_whole(crowdflower_folder):
    settings = recipe(data={"source": {"adapter": "crowdflower", "days": 1}})
    rows = Read(settings, crowdflower_folder).rows(day())
    assert (rows.num_rows, rows["damage"].null_count) == (6_092, 6_092)
    assert any("\n" in text for text in rows["description"].to_pylist())


def test_reviews_in_a_zip_are_all_read(data_folder):
    columns = {
        "event_id": {"column": "review", "id_of_text": True},
        "at": {"day_start": True},
        "kind": {"constant": "review"},
        "text": "review",
        "category": "cat",
        "rating": "label",
    }
    table = {"files": ["*.zip"], "spread": {"column": "review", "days": 1, "first_day": "2011-01-01"}}
    rows = Read(tables({**table, "columns": columns}), data_folder("zh-online-shopping-10-cats")).rows(day())
    assert (rows.num_rows, rows["damage"].null_count) == (62_774, 62_774)
    assert rows["rating"].to_pylist().count("1") == 31_728


def test_a_file_for_each_trading_day_gives_all_its_lines(data_folder, tmp_path):
    packed = data_folder("uci-online-retail-by-day") / "by-day_2010-12_2011-08.tar.gz"
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path, filter="data")
    columns = {
        "event_id": "InvoiceNo",
        "at": {"column": "InvoiceDate", "time": ["%Y-%m-%d %H:%M:%S"]},
        "item_id": "StockCode",
        "title": "Description",
        "user_key": "CustomerID",
        "value": "UnitPrice",
    }
    settings = tables({"files": ["by-day/{date:%Y-%m-%d}.csv"], "columns": columns}, zone="Europe/London")
    days = sorted(path.stem for path in (tmp_path / "by-day").glob("*.csv"))
    source, found = open_source(settings, tmp_path.as_uri()), []
    for label in days:
        with tempfile.TemporaryDirectory() as folder:
            (written,) = source.deliver(day_interval(label, "Europe/London"), Path(folder)).files
            found.append(pq.read_table(written, columns=["at", "damage"]))
    assert (len(days), sum(rows.num_rows for rows in found)) == (219, 320_705)
    assert sum(rows["damage"].null_count for rows in found) == 320_705
    summer = datetime.fromisoformat(found[days.index("2011-07-21")]["at"][0].as_py())
    assert summer.utcoffset() is not None
