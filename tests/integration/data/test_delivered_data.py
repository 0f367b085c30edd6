"""Events as real systems write them."""

from datetime import datetime
from pathlib import Path

import pytest

from fakes.deliveries import Read, day, recipe


@pytest.fixture
def ubi(data_folder, tmp_path):
    lines = (data_folder("esci-us-ubi-sample") / "ubi_queries_events.ndjson").read_text().splitlines()
    (tmp_path / "ubi-2011-01-01.ndjson").write_text("\n".join(line for line in lines if '"action_name"' in line))
    return tmp_path


def test_events_with_times_of_two_types_are_all_read(ubi: Path):
    columns = {
        "event_id": "query_id",
        "at": {"column": "timestamp", "time": ["iso", "milliseconds"]},
        "kind": {"column": "action_name", "map": {"add_to_cart": "cart"}},
        "item_id": {"column": "event_attributes.object.object_id", "optional": True},
    }
    events = [{"files": ["ubi-{date:%Y-%m-%d}.ndjson"], "columns": columns}]
    rows = Read(recipe(data={"source": {"adapter": "tables", "events": events}}), ubi).rows(day())
    assert rows.num_rows == 3_448
    assert rows["kind"].to_pylist().count("cart") == 234
    assert all(datetime.fromisoformat(at).utcoffset() is not None for at in rows["at"].to_pylist())
