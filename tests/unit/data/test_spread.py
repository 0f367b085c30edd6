from collections import defaultdict
from itertools import product

import pytest

from recflow.config.sections.data import SplitSection
from recflow.data.sample.shuffle import read_pairs
from recflow.data.sample.spread import JudgedQueries
from recflow.data.sources.spread import day_index
from recflow.data.split import split_of
from recflow.domain.queries import query_id
from recflow.errors import BadData

DAYS, LEAST, SPLIT = 5, 20, SplitSection(test_percent=30)
QUERIES = [f"query {number}" for number in range(400)]


def write(folder, queries, products=6, grades=(1, 4)):
    """Judged pairs: every query with as many products, the grades in turn."""
    lines = ["id,query,product_title,product_description,median_relevance,relevance_variance"]
    for number, (query, item) in enumerate(product(queries, range(products))):
        lines.append(f"{number},{query},title {item},,{grades[item % len(grades)]},0")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "1-test.csv").write_text("\n".join(lines))


def by_day(folder, tmp_path):
    """Of a folder that is spread over the days: the titles by query of each day."""
    JudgedQueries.read(folder, products=6).spread(tmp_path / "spread", DAYS)
    days = [defaultdict(list) for _ in range(DAYS)]
    for row in read_pairs(tmp_path / "spread")["pairs.csv"]:
        days[day_index(row["id"], DAYS)][row["query"]].append(row["product_title"])
    return days


def refuse(folder):
    JudgedQueries.read(folder, products=6).refuse_thin(DAYS, SPLIT, LEAST)


def test_each_query_comes_on_two_days_with_all_its_products(tmp_path):
    write(tmp_path / "pairs", QUERIES)
    days = by_day(tmp_path / "pairs", tmp_path)
    assert all(titles == [f"title {item}" for item in range(6)] for day in days for titles in day.values())
    assert {sum(query in day for day in days) for query in QUERIES} == {2}


@pytest.fixture(params=["test", "train"])
def just_enough(request, tmp_path):
    """Queries of which one day has exactly the needed number of a split, first those; and how the split is told."""
    write(tmp_path / "many", QUERIES)
    first_day = by_day(tmp_path / "many", tmp_path)[0]
    counted = [query for query in first_day if split_of(query_id(query), SPLIT) == request.param]
    kept = [query for query in QUERIES if query not in counted[LEAST:]]
    told = {"test": r"seen \d+ that train and 19 held out", "train": "seen 19 that train"}
    return sorted(kept, key=lambda query: query not in counted), told[request.param]


def test_pairs_with_just_enough_queries_a_day_are_taken(just_enough, tmp_path):
    write(tmp_path / "pairs", just_enough[0])
    refuse(tmp_path / "pairs")


def test_pairs_with_one_query_too_few_on_a_day_are_refused_with_the_counts(just_enough, tmp_path):
    queries, told = just_enough
    write(tmp_path / "pairs", queries[1:])
    with pytest.raises(BadData, match=rf"day 1 of 5.*Expected 20 queries that train and 20 held out.*{told}"):
        refuse(tmp_path / "pairs")


@pytest.mark.parametrize(
    ("products", "grades"), [(5, (1, 4)), (6, (3,))], ids=["lists of five products", "one grade alone"]
)
def test_queries_that_show_neither_order_nor_fault_do_not_count(tmp_path, products, grades):
    write(tmp_path / "pairs", QUERIES, products, grades)
    with pytest.raises(BadData, match="seen 0 that train and 0 held out"):
        refuse(tmp_path / "pairs")


@pytest.mark.parametrize("products", [5, 6], ids=["too few titles", "one grade on average"])
def test_rows_of_one_title_are_one_product_with_its_average_grade(tmp_path, products):
    write(tmp_path / "pairs", QUERIES, products, grades=(1, 4))
    lines = (tmp_path / "pairs" / "1-test.csv").read_text().splitlines()
    swapped = {"1": "4", "4": "1"}
    again = [line.split(",") for line in lines[1:]]
    more = [f"again-{','.join(row[:4])},{swapped[row[4]]},0" for row in again]
    (tmp_path / "pairs" / "1-test.csv").write_text("\n".join([*lines, *more]))
    with pytest.raises(BadData, match="seen 0 that train and 0 held out"):
        refuse(tmp_path / "pairs")


def test_long_lists_and_many_queries_are_cut_to_what_is_trained_on_in_minutes(tmp_path):
    write(tmp_path / "pairs", [f"query {number}" for number in range(700)], products=50)
    found = JudgedQueries.read(tmp_path / "pairs", products=6)
    assert len(found.records) == 600
    assert {len(records) for records in found.records.values()} == {40}
    assert found.rows == 700 * 50


def test_files_of_unlike_columns_are_played_together(tmp_path):
    write(tmp_path / "pairs", QUERIES)
    (tmp_path / "pairs" / "2.csv").write_text("id,query,product_title,median_relevance,more\nx,query 1,title 7,2,?")
    days = by_day(tmp_path / "pairs", tmp_path)
    assert {tuple(day["query 1"]) for day in days if "query 1" in day} == {
        (*(f"title {item}" for item in range(6)), "title 7")
    }
