import json
from collections import Counter, defaultdict
from datetime import date

import pyarrow.parquet as pq
import pytest

from fakes.deliveries import CSV_HEADER
from recflow.config.sections.data import SplitSection
from recflow.config.sections.sources import SourceSection
from recflow.data.sample.behaviour import mirror
from recflow.data.sample.faults import NAMES
from recflow.data.sample.shop import SampleShop, write_shop
from recflow.data.sample.shuffle import read_pairs, shuffle_grades
from recflow.data.split import split_of
from recflow.domain.queries import query_id
from recflow.errors import BadConfiguration, BadData

SMALL = {"days": 2, "rows": 3_000, "queries": 20, "users": 100}


def events(folder, label="2011-01-01"):
    return [json.loads(line) for line in (folder / "events" / f"{label}.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    write_shop(SampleShop(**SMALL), folder)
    return folder


@pytest.fixture(scope="module")
def clean_shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    write_shop(SampleShop(**SMALL | {"rows": 12_000}, faults=False), folder)
    return folder


def test_equal_seeds_give_equal_bytes_and_other_seeds_others(shop, tmp_path):
    write_shop(SampleShop(**SMALL), tmp_path / "same")
    write_shop(SampleShop(**SMALL, seed=8), tmp_path / "other")
    name = "events/2011-01-02.jsonl"
    assert (
        (tmp_path / "same" / name).read_bytes()
        == (shop / name).read_bytes()
        != (tmp_path / "other" / name).read_bytes()
    )


def test_each_of_the_twelve_faults_is_planted_on_each_day(shop):
    planted = defaultdict(set)
    for line in (shop / "faults.jsonl").read_text().splitlines():
        entry = json.loads(line)
        planted[entry["day"]].add(entry["fault"])
    assert len(NAMES) == 12
    assert all(names == set(NAMES) for names in planted.values())


def test_better_items_are_clicked_more_often_at_the_same_place(clean_shop):
    truth = {
        (row["query"], row["item_id"]): row["grade"] for row in pq.read_table(clean_shop / "truth.parquet").to_pylist()
    }
    shown, clicked = Counter(), Counter()
    for event in events(clean_shop):
        if event["position"] <= 3:
            grade = truth[event["query"], event["item_id"]]
            shown[grade] += event["kind"] == "impression"
            clicked[grade] += event["kind"] == "click"
    rates = [clicked[grade] / shown[grade] for grade in range(4)]
    assert rates == sorted(rates)


def test_shoppers_look_less_at_lower_places(clean_shop):
    shown, clicked = Counter(), Counter()
    for event in events(clean_shop):
        shown[event["position"] > 7] += event["kind"] == "impression"
        clicked[event["position"] > 7] += event["kind"] == "click"
    assert clicked[False] / shown[False] > 1.3 * clicked[True] / shown[True]


def test_the_shop_drifts_from_day_to_day(clean_shop):
    queries = [{event["query"] for event in events(clean_shop, label)} for label in ("2011-01-01", "2011-01-02")]
    assert queries[0] != queries[1]
    assert queries[0] & queries[1]


@pytest.mark.parametrize("spoilt", ["shuffled_days", "reversed_days"])
def test_a_spoilt_day_spoils_queries_that_train_and_held_out_ones_only_when_reversed(clean_shop, tmp_path, spoilt):
    options = SMALL | {"rows": 12_000, spoilt: frozenset({date(2011, 1, 1)})}
    write_shop(SampleShop(**options, faults=False), tmp_path)

    def clicks(folder, held_out):
        rows = [event for event in events(folder) if event["kind"] == "click"]
        return Counter(
            (row["query"], row["item_id"])
            for row in rows
            if (split_of(query_id(row["query"]), SplitSection()) == "test") == held_out
        )

    truth = {
        (row["query"], row["item_id"]): row["grade"] for row in pq.read_table(tmp_path / "truth.parquet").to_pylist()
    }

    def mean_grade(counts):
        return sum(truth[pair] * count for pair, count in counts.items()) / counts.total()

    def loss(*, held_out):
        return mean_grade(clicks(clean_shop, held_out)) - mean_grade(clicks(tmp_path, held_out))

    assert loss(held_out=False) > 0.5
    assert loss(held_out=True) > 0.5 if spoilt == "reversed_days" else abs(loss(held_out=True)) < 0.3


def test_mirrored_grades_are_the_same_grades_on_other_items():
    assert mirror({"a": 0, "b": 1, "c": 3}) == {"a": 3, "b": 1, "c": 0}


@pytest.mark.parametrize("held_out", [False, True])
def test_shuffled_grades_keep_their_histogram_and_every_other_row(tmp_path, held_out):
    lines = [f"{number},query {number % 40},title {number},,{number // 40 % 4 + 1},0" for number in range(400)]
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "1-test.csv").write_text("\n".join([CSV_HEADER, *lines]))
    source, split = SourceSection(adapter="crowdflower", days=2), SplitSection()
    changed = shuffle_grades(
        tmp_path / "pairs", tmp_path / "spoilt", date(2011, 1, 1), source, split, held_out=held_out
    )
    before, after = (read_pairs(tmp_path / name)["1-test.csv"] for name in ("pairs", "spoilt"))
    differing = [old for old, new in zip(before, after, strict=True) if old != new]
    assert len(differing) == changed
    assert Counter(row["median_relevance"] for row in before) == Counter(row["median_relevance"] for row in after)
    assert any(split_of(query_id(row["query"]), split) == "test" for row in differing) is held_out


GOOD_HEADER = "id,query,product_title,median_relevance"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD_HEADER, "has no rows"),
        ("id,query,product_title\n1,led,lamp", "no median_relevance"),
        (f"{GOOD_HEADER}\n1,led,lamp,very good", "'very good' in the row with id 1"),
    ],
    ids=["a header alone", "no grades", "grades in words"],
)
def test_pairs_that_cannot_be_played_with_are_refused_with_what_is_wrong(tmp_path, text, said):
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(BadData, match=said):
        read_pairs(tmp_path)


def test_a_folder_without_pairs_is_refused(tmp_path):
    for folder, said in ((tmp_path, "no CSV file"), (tmp_path / "none", "no folder")):
        with pytest.raises(BadConfiguration, match=said):
            read_pairs(folder)
