import re
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.deliveries import delivered, impression, judgement
from fakes.engines import duckdb_engine
from recflow.config.sections.data import DataSection
from recflow.data.clean import clean
from recflow.errors import BadData


class Result:
    """What cleaning gives, in memory."""

    def __init__(self, result, rows):
        self.duplicates, self.rows_in, self.mended = result.duplicates, result.rows_in, dict(result.mended)
        self.rules = {rule.name: rule for rule in result.rules}
        self.refusals = result.refusals
        self.rows = rows.to_pylist()

    def column(self, name):
        return [row[name] for row in self.rows]


def clean_table(table, **options):
    with TemporaryDirectory() as folder, duckdb_engine(Path(folder)) as engine:
        placed = table.append_column("source_file", pa.repeat("day", table.num_rows))
        placed = placed.append_column("source_row", pa.array(range(table.num_rows), pa.int64()))
        placed = placed.append_column("damage", pa.nulls(table.num_rows, pa.string()))
        result = clean(engine, engine.load(placed), "2011-01-01", DataSection(**options))
        return Result(result, engine.fetch(result.rows.order_by("source_row")))


def cleaned(rows, **options):
    return clean_table(delivered(rows), **options)


def test_texts_are_normalised_and_counted():
    result = cleaned([judgement(1, query="<b>red</b>  shoe"), judgement(2)])
    assert result.column("query") == ["red shoe", "red shoe"]
    assert result.mended == {"query": 1, "title": 0, "description": 0, "text": 0}


def test_a_persons_data_is_masked_in_queries_and_counted_and_no_example_shows_it():
    rows = [judgement(1, query="call ann@example.com"), judgement(2, query="<i>red</i>"), judgement(3)]
    result = cleaned(rows)
    assert result.column("query")[0] == "call [email]"
    assert (result.rules["mask"].changed, result.rules["mask"].examples) == (1, ("call [email]",))
    assert result.rules["normalise"].examples == ("'<i>red</i>' → 'red'",)
    assert cleaned(rows, cleaning={"mask": False}).column("query")[0] == "call ann@example.com"


def test_each_rule_counts_what_it_changed_and_no_rule_what_another_did():
    rows = [
        judgement(1, query="<b>電腦</b>"),
        judgement(2, query="mail ann@example.com"),
        judgement(3, query="<i>a</i>"),
    ]
    result = cleaned(rows, cleaning={"simplify_chinese": True})
    assert {name: rule.changed for name, rule in result.rules.items()} == {
        "normalise": 2, "simplify_chinese": 1, "mask": 1,
    }  # fmt: skip
    assert result.mended["query"] == 3
    assert result.column("query") == ["电脑", "mail [email]", "a"]


def test_near_duplicates_are_one_row_where_the_recipe_says_so():
    rows = [judgement(1, query="Red shoe!"), judgement(1, query="red  SHOE"), judgement(2)]
    assert len(cleaned(rows).rows) == 3
    said = {"cleaning": {"near_duplicates": True}, "max_duplicate_share": 0.5}
    assert len(cleaned(rows, **said).rows) == 2


def test_an_empty_text_becomes_missing():
    assert cleaned([judgement(1, query="\u200b  ")]).column("query") == [None]


def test_a_row_told_again_is_dropped_and_raters_who_agree_both_count():
    rows = [judgement(number) for number in range(1, 6)]
    result = cleaned([*rows, judgement(5), judgement(5, event_id="another rater")])
    assert (len(result.rows), result.duplicates, result.rows_in) == (6, 1, 7)


def test_a_row_told_again_under_another_id_is_told_by_what_the_recipe_says_names_a_row():
    rows = [judgement(number) for number in range(1, 6)]
    result = cleaned([*rows, judgement(5, event_id="again", grade="0")], identity=("item_id", "query"))
    assert (len(result.rows), result.duplicates) == (5, 1)


def test_two_judgements_of_one_pair_that_differ_are_both_kept():
    assert len(cleaned([judgement(1), judgement(1, grade="0")]).rows) == 2


def test_a_value_that_is_no_number_is_left_to_the_checks():
    result = cleaned([impression(1, position="first"), impression(2), impression(3)])
    assert result.column("position") == [None, 2, 3]


def test_a_judgement_without_a_position_has_position_zero_and_no_revenue():
    (row,) = cleaned([judgement(1)]).rows
    assert (row["position"], row["value"]) == (0, 0)


def test_a_position_between_two_places_is_no_position():
    result = cleaned([impression(1, position="1.7"), impression(2), impression(3)])
    assert result.column("position") == [None, 2, 3]


def test_times_finer_than_a_partition_holds_are_cut_to_what_it_holds():
    (row,) = cleaned([judgement(1, at="2011-01-01T10:00:00.123456789Z")]).rows
    assert row["at"] == datetime.fromisoformat("2011-01-01T10:00:00.123456")


def test_an_infinite_number_is_no_number():
    result = cleaned([impression(1, value="inf"), impression(2, value="3"), impression(3, value="4")])
    assert result.column("value") == [None, 3, 4]


def test_an_empty_day_is_bad_data():
    with pytest.raises(BadData, match="2011-01-01 is empty"):
        cleaned([])


def test_a_missing_column_is_named():
    table = delivered([judgement(1)]).drop_columns(["title"])
    with pytest.raises(BadData, match="lacks the column title"):
        clean_table(table)


def test_a_column_of_another_type_is_named_with_an_example():
    (refusal,) = cleaned([judgement(number, grade="good") for number in range(1, 5)]).refusals
    assert re.search(r"the column grade .* of another type.*'good'", refusal.error.message)
    assert not refusal.acceptable


def test_times_that_are_no_times_are_a_column_of_another_type():
    (refusal,) = cleaned([judgement(number, at="yesterday") for number in range(1, 5)]).refusals
    assert re.search(r"the column at .* ISO 8601", refusal.error.message)


def test_thirty_percent_duplicates_are_a_replayed_feed():
    rows = [judgement(number) for number in range(1, 71)]
    (refusal,) = cleaned([*rows, *rows[:30]]).refusals
    assert re.search(r"repeats 30 of 100 rows.*20% exact duplicates.*30%", refusal.error.message)


@settings(max_examples=5, deadline=None)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=200, unique=True))
def test_cleaning_what_was_cleaned_changes_nothing(queries):
    first = cleaned([judgement(number, query=query) for number, query in enumerate(queries)]).column("query")
    again = cleaned([judgement(number, query=query) for number, query in enumerate(first)]).column("query")
    assert again == first
