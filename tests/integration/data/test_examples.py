"""The recipes of examples/ on the real data that they are for; counts as in the data sets' SOURCE.md."""

import json
import shutil
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import load_from_disk

from fakes.online_retail import unpack_days
from recflow.config.settings import Settings
from recflow.domain.intervals import day_interval
from recflow.errors import BadData
from recflow.wiring import Services, finish_stage, pin_parent_of, run_stage, stage_call

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.fixture
def services(tmp_path):
    return Services(Settings(home=tmp_path / "home", recipes=EXAMPLES, source_root=tmp_path))


def validated(services, name, day):
    """The report and the rows of a day."""
    recipe = services.recipe(name)
    call = stage_call(services, "validate_partition", recipe, day_interval(day, recipe.schedule.timezone), {})
    folder = services.artifacts.fetch(run_stage(services, call))
    return json.loads((folder / "validation.json").read_text()), pq.read_table(folder / "rows.parquet")


def test_a_day_of_invoices_has_purchases_and_returns_and_loses_exact_repeats_alone(services, tmp_path, data_folder):
    unpack_days(data_folder, [date(2010, 12, 1)], tmp_path / "retail")
    report, rows = validated(services, "retail", "2010-12-01")
    assert (report["rows_in"], report["quarantined"]) == (3108, 0)
    assert report["kinds"] == {"purchase": 3037, "return": 27}
    first = rows.slice(0, 1).to_pylist()[0]
    assert (first["item_id"], first["price"], first["attributes"]) == ("85123A", "2.55", "6")
    assert first["value"] == pytest.approx(15.3)
    assert min(rows["value"].to_pylist()) >= 0, "what was given back, not minus what was paid"


def test_invoices_teach_what_customers_order_next(services, tmp_path, data_folder):
    days = [date(2010, 12, number) for number in (1, 2, 3)]
    unpack_days(data_folder, days, tmp_path / "retail")
    recipe = services.recipe("next_purchases")
    intervals = [day_interval(f"{day}", recipe.schedule.timezone) for day in days]
    for interval in intervals:
        call = stage_call(services, "validate_partition", recipe, interval, {})
        partition = finish_stage(services, call, run_stage(services, call))
    inputs = {"parent": pin_parent_of(services, recipe, intervals[-1]), "partition": partition}
    call = stage_call(services, "build_dataset", recipe, intervals[-1], inputs)
    folder = services.artifacts.fetch(run_stage(services, call))
    acts = [row for split in ("train", "validation", "test") for row in load_from_disk(str(folder / split))]
    assert {row["day"] for row in acts} == {f"{day}" for day in days}
    assert all(row["user_key"] and row["item_id"] for row in acts), "an invoice of nobody teaches nothing"
    catalogue = pq.read_table(folder / "items.parquet").to_pydict()
    assert "85123A" in catalogue["item_id"]
    assert all(catalogue["available"])


def test_a_day_that_should_have_invoices_and_has_none_is_refused(services, tmp_path, data_folder):
    unpack_days(data_folder, [date(2010, 12, 1)], tmp_path / "retail")
    with pytest.raises(BadData, match="no events of 2010-12-02"):
        validated(services, "retail", "2010-12-02")


def test_every_day_without_invoices_is_closed_in_the_examples_calendar(services, tmp_path, data_folder):
    days = [date.fromordinal(number) for number in range(date(2010, 12, 1).toordinal(), date(2011, 9, 1).toordinal())]
    unpack_days(data_folder, days, tmp_path / "retail")
    delivered = {path.stem for path in (tmp_path / "retail").iterdir()}
    schedule = services.recipe("retail").schedule
    assert {f"{day}" for day in days if not schedule.closed_on(day)} == delivered


def test_a_day_of_chinese_reviews_keeps_words_stars_and_categories(services, tmp_path, data_folder):
    (tmp_path / "reviews").mkdir()
    shutil.copy(data_folder("zh-online-shopping-10-cats") / "online_shopping_10_cats.zip", tmp_path / "reviews")
    report, rows = validated(services, "reviews", "2024-01-03")
    assert report["rows_in"] == 2071
    assert set(rows["rating"].to_pylist()) == {"0", "1"}
    assert len(set(rows["category"].to_pylist())) == 10
