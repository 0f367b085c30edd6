import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.deliveries import delivered, impression, judgement
from recflow.data.clean import clean
from recflow.errors import BadData


def cleaned(rows, **options):
    return clean(delivered(rows), "2011-01-01", **{"max_duplicate_share": 0.2, **options})


def test_texts_are_normalised_and_counted():
    result = cleaned([judgement(1, query="<b>red</b>  shoe"), judgement(2)])
    assert list(result.rows["query"]) == ["red shoe", "red shoe"]
    assert result.mended == {"query": 1, "title": 0, "description": 0}


def test_what_was_delivered_is_kept_beside_the_typed_row():
    result = cleaned([judgement(1, query="<b>red</b>"), judgement(2)])
    assert result.delivered["query"][0] == "<b>red</b>"


def test_an_empty_text_becomes_missing():
    assert cleaned([judgement(1, query="\u200b  ")]).rows["query"].isna().all()


def test_an_exact_duplicate_is_dropped_even_under_another_event_id():
    rows = [judgement(number) for number in range(1, 6)]
    result = cleaned([*rows, judgement(5, event_id="again")])
    assert (len(result.rows), result.duplicates, result.rows_in) == (5, 1, 6)


def test_two_judgements_of_one_pair_that_differ_are_both_kept():
    assert len(cleaned([judgement(1), judgement(1, grade="0")]).rows) == 2


def test_a_value_that_is_no_number_is_left_to_the_checks():
    rows = cleaned([impression(1, position="first"), impression(2), impression(3)]).rows
    assert rows["position"].isna().tolist() == [True, False, False]


def test_a_judgement_without_a_position_has_position_zero_and_no_revenue():
    rows = cleaned([judgement(1)]).rows
    assert (rows["position"][0], rows["value"][0]) == (0, 0)


def test_a_position_between_two_places_is_no_position():
    assert cleaned([impression(1, position="1.7"), impression(2), impression(3)]).rows["position"].isna()[0]


def test_times_finer_than_a_partition_holds_are_cut_to_what_it_holds():
    rows = cleaned([judgement(1, at="2011-01-01T10:00:00.123456789Z")]).rows
    assert rows["at"].dtype == "datetime64[us]"
    assert rows["at"][0].microsecond == 123456


def test_an_infinite_number_is_no_number():
    assert (
        cleaned([impression(1, value="inf"), impression(2, value="3"), impression(3, value="4")])
        .rows["value"]
        .isna()[0]
    )


def test_an_empty_day_is_bad_data():
    with pytest.raises(BadData, match="2011-01-01 is empty"):
        cleaned([])


def test_a_missing_column_is_named():
    table = delivered([judgement(1)]).drop_columns(["title"])
    with pytest.raises(BadData, match="lacks the column title"):
        clean(table, "2011-01-01", max_duplicate_share=0.2)


def test_a_column_of_another_type_is_named_with_an_example():
    with pytest.raises(BadData, match=r"the column grade .* of another type.*'good'"):
        cleaned([judgement(number, grade="good") for number in range(1, 5)])


def test_times_that_are_no_times_are_a_column_of_another_type():
    with pytest.raises(BadData, match=r"the column at .* ISO 8601"):
        cleaned([judgement(number, at="yesterday") for number in range(1, 5)])


def test_thirty_percent_duplicates_are_a_replayed_feed():
    rows = [judgement(number) for number in range(1, 71)]
    with pytest.raises(BadData, match=r"repeats 30 of 100 rows.*20% exact duplicates.*30%"):
        cleaned([*rows, *rows[:30]])


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=20, unique=True))
def test_cleaning_what_was_cleaned_changes_nothing(queries):
    first = cleaned([judgement(number, query=query) for number, query in enumerate(queries)])
    again = cleaned([judgement(number, query=query) for number, query in enumerate(first.rows["query"])])
    assert list(again.rows["query"]) == list(first.rows["query"])
