"""What the rooms' expressions mean, on both engines."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recflow.domain.assignment import bucket as bucket_rule
from recflow.domain.assignment import drawn as drawn_rule
from recflow.domain.free_text import MASK, NORMALISE, cleaned
from recflow.domain.free_text import told_of_nobody as told_of_nobody_rule
from recflow.domain.lexical import words
from recflow.domain.near_duplicates import near_duplicate_key
from recflow.domain.queries import query_id as query_id_rule
from recflow.domain.text import normalise
from recflow.engine import expressions as own

# A cluster of four Java processes gets on slowly beside other work.
pytestmark = pytest.mark.timeout(900)

START = datetime(2011, 1, 1, tzinfo=UTC)
NORMALISED = partial(own.cleaned, rules=(NORMALISE,))
TOLD = ["call 0151 23456789", "mail ann@example.com", "ｍａｉｌ ann@example.com", "size 42", "", None, "<b>x</b>"]


@pytest.fixture
def opened(engine, tmp_path):
    with engine(tmp_path) as opened:
        yield opened


def column(opened, values, make, type_=None):
    """What `make` makes of a column of values, in their order."""
    table = opened.load(pa.table({"row": range(len(values)), "given": pa.array(values, type_ or pa.string())}))
    return opened.fetch(table.select("row", made=make(table.given)).order_by("row"))["made"].to_pylist()


TIMES = {
    "2011-01-01": timedelta(0),
    "2011-01-01T10:00:00.123456789Z": timedelta(hours=10, microseconds=123456),
    " 2011-01-01 10:00 ": timedelta(hours=10),
    "2011-01-01T10:00:00+02:00": timedelta(hours=8),
    "2011-01-01T10:00:00.5-05:30": timedelta(hours=15, minutes=30, seconds=0.5),
    "2011-01-01T10:00:00+0200": timedelta(hours=8),
    "2011-01-01T10:00Z": timedelta(hours=10),
    "2010-12-31T23:59:59.999999+00:00": timedelta(microseconds=-1),
    "2011-02-30T10:00:00Z": None,
    "2011-01-01T24:00:00Z": None,
    "2011-01": None,
    "2011/01/01": None,
    "10:00": None,
    "yesterday": None,
    "": None,
}


def test_a_time_keeps_its_offset_and_its_microseconds(opened):
    expected = [None if after is None else (START + after).replace(tzinfo=None) for after in TIMES.values()]
    assert column(opened, [*TIMES], own.time) == expected


NUMBERS = {
    "1": 1.0,
    " -2.50 ": -2.5,
    ".5": 0.5,
    "1e3": 1000.0,
    "1e+308": 1e308,
    "5e-324": 5e-324,
    "1e999": None,
    "9" * 310: None,
    "inf": None,
    "nan": None,
    "1d": None,
    "1_000": None,
    "0x1F": None,
    "1,5": None,
    "1\n2": None,
    "": None,
}


def test_a_number_is_finite_and_written_in_one_way(opened):
    assert column(opened, [*NUMBERS, None], own.number) == [*NUMBERS.values(), None]


TEXTS = [
    "red shoe",
    "<b>red</b>  shoe",
    "ｒｅｄ\u3000鞋",
    "a\u200bb",
    "&amp;lt;",
    "\n a \t",
    " ",
    "",
    "don't stop",
    "İstanbul Σς",
    None,
]


def test_texts_are_normalised_by_the_rule_that_models_carry(opened):
    assert column(opened, TEXTS, NORMALISED) == [normalise(text or "") or None for text in TEXTS]


def test_texts_are_masked_by_the_rules_that_the_gateway_has(opened):
    rules = (NORMALISE, MASK)
    made = column(opened, TOLD, partial(own.cleaned, rules=rules))
    assert made == [cleaned(text or "", rules) or None for text in TOLD]
    assert made[1] == made[2] == "mail [email]"


def test_a_text_that_is_kept_as_delivered_changes_only_where_it_tells_of_a_person(opened):
    made = column(opened, TOLD, own.told_of_nobody)
    assert made == [None if text is None else told_of_nobody_rule(text) for text in TOLD]
    assert made[-1] == "<b>x</b>"


def test_near_duplicates_share_a_key_and_texts_of_nothing_have_none(opened):
    texts = ["Red Shoe!", "red  shoe", "blue shoe", "!!", None]
    made = column(opened, texts, own.near_duplicate)
    assert made == [near_duplicate_key(text or "") or None for text in texts]
    assert made[0] == made[1]


def test_sizes_of_numbers_are_logarithms_and_zero_has_none(opened):
    made = column(opened, [1.0, -1.0, 10.0, 0.0, None], own.log_size, pa.float64())
    assert made == [0, 0, pytest.approx(2.302585), None, None]
    assert column(opened, [1.0, 4.0], lambda given: own.distance(given, 3.0), pa.float64()) == [2, 1]


def test_sizes_are_four_classes_a_doubling_also_where_a_number_is_a_power_of_two(opened):
    given = [2.0**power for power in range(-20, 40)] + [1e12, 0.0, -4.0, None]
    made = column(opened, given, own.size_class, pa.float64())
    assert made[:60] == [4 * power for power in range(-20, 40)]
    assert made[60:] == [159, None, None, None]
    assert own.size_of_class(made[30]) == pytest.approx(2**10, rel=0.1)


def test_texts_are_stripped_as_python_does(opened):
    texts = [*TEXTS, "\u3000x\u00a0", "\x1cx\x1f", "\ufeffx", "x\n"]
    assert column(opened, texts, own.stripped) == [(text or "").strip() or None for text in texts]


def test_queries_are_named_and_dealt_by_the_rules_of_the_domain(opened):
    texts = [text for text in TEXTS if text is not None]
    assert column(opened, texts, own.query_id) == [query_id_rule(text) for text in texts]
    assert column(opened, texts, lambda text: own.bucket("s", text)) == [bucket_rule("s", text) for text in texts]


def test_draws_are_those_of_the_domain_and_below_the_bound(opened):
    texts = [text for text in TEXTS if text is not None]
    for below in (1, 7, 2**40):
        made = column(opened, texts, partial(lambda below, text: own.drawn("s", text, below), below))
        assert made == [drawn_rule("s", text, below) for text in texts]


def test_words_are_those_that_models_read_each_in_a_row(opened):
    texts = [*TEXTS, "Shoes shoes", "电饭煲 XL", "!!"]
    table = opened.load(pa.table({"row": range(len(texts)), "text": texts}))
    rows = opened.fetch(table.select("row", word=own.words(table.text))).to_pylist()
    found = sorted((row["row"], row["word"]) for row in rows)
    assert found == sorted((number, word) for number, text in enumerate(texts) for word in words(text or ""))


def test_rows_are_copied_as_often_as_they_say(opened):
    table = opened.load(pa.table({"key": ["a", "b", "c"], "times": pa.array([2, 0, 1], pa.int64())}))
    rows = opened.fetch(own.copies(table, table.times, "copy").order_by(["key", "copy"])).to_pylist()
    assert [(row["key"], row["copy"]) for row in rows] == [("a", 0), ("a", 1), ("c", 0)]


def test_the_first_rows_of_each_are_as_many_as_asked_for(opened):
    table = opened.load(pa.table({"key": ["a", "a", "a", "b"], "order": [3, 1, 2, 9]}))
    rows = opened.fetch(own.first_of_each(table, ["key"], [table.order], 2).order_by(["key", "order"])).to_pylist()
    assert [(row["key"], row["order"]) for row in rows] == [("a", 1), ("a", 2), ("b", 9)]


def test_patterns_are_pythons_and_found_anywhere(opened):
    texts = ["a.b", "axb", "xa.b", None]
    assert column(opened, texts, lambda text: own.is_found("a.b", text)) == [True, True, True, False]
    assert column(opened, texts, lambda text: own.is_found("b", text)) == [True, True, True, False]
    assert column(opened, texts, lambda text: own.is_found(r"^a\Wb(?!c)", text)) == [True, False, False, False]


def test_an_end_of_line_slips_through_a_dollar_sign_as_in_python_and_through_no_pattern_of_ours(opened):
    texts = ["ab", "ab\n", "a\nb"]
    assert column(opened, texts, lambda text: own.is_found("^ab$", text)) == [True, True, False]
    assert column(opened, texts, lambda text: own.is_found(r"\Aab\Z", text)) == [True, False, False]
    assert column(opened, texts, NORMALISED) == ["ab", "ab", "a b"]
    assert column(opened, ["1\n", "1\n2"], own.number) == [1.0, None]
    assert column(opened, ["2011-01-01\n", "2011-01-01\n10:00"], own.time) == [START.replace(tzinfo=None), None]


def test_seconds_are_counted_to_the_microsecond_and_backwards(opened):
    moments = [datetime(2011, 1, 1, 0, 0, 1, 500_000), datetime(2010, 12, 31, 23, 59, 59, 999_999), None]  # noqa: DTZ001
    seconds = column(opened, moments, lambda moment: own.seconds_after(START, moment), pa.timestamp("us"))
    assert seconds == [1.5, -1e-06, None]


def test_numbers_are_rounded_and_told_from_fractions_alike(opened):
    assert column(opened, [1.0000005, 2 / 3, -1.5, 7.0], own.rounded, pa.float64()) == pytest.approx(
        [1.000001, 0.666667, -1.5, 7.0], abs=1.1e-6
    )
    assert column(opened, [1.0, 1.7, -2.0, None], own.whole, pa.float64()) == [1.0, None, -2.0, None]
    assert column(opened, [0.4, 0.5, 2.5], own.nearest_whole, pa.float64()) == [0, 1, 3]


def test_a_quantile_is_exact(opened):
    table = opened.load(pa.table({"x": [1.0, 2.0, 4.0, 10.0]}))
    assert opened.fetch(table.aggregate(q=own.quantile(table.x, 0.95)))["q"].to_pylist() == pytest.approx([9.1])


def test_the_first_of_each_is_a_row_that_was_there(opened):
    rows = {"key": ["a", "a", None, None], "order": [2, 1, 1, 2], "text": ["x", None, None, "y"]}
    table = opened.load(pa.table(rows))
    first = opened.fetch(own.first_of_each(table, ["key"], [table.order]).order_by("key")).to_pylist()
    assert first == [{"key": "a", "order": 1, "text": None}, {"key": None, "order": 1, "text": None}]


def test_repeats_are_told_by_all_columns_and_the_first_is_none(opened):
    rows = {"a": ["x", "x", None, None, "x"], "b": ["1", "1", "2", "2", None], "row": [5, 4, 3, 2, 1]}
    table = opened.load(pa.table(rows))
    found = opened.fetch(own.repeats(table, ["a", "b"], ["row"]))["row"].to_pylist()
    assert sorted(found) == [3, 5]


def test_running_totals_leave_the_row_itself_out(opened):
    table = opened.load(pa.table({"key": ["b", "a", "c"], "x": [2, 1, 4]}))
    totals = table.select("key", before=own.running_total(table.x, [table.key]), all=own.total(table.x))
    rows = opened.fetch(totals.order_by("key")).to_pylist()
    assert [(row["before"], row["all"]) for row in rows] == [(0, 7), (1, 7), (3, 7)]


def test_texts_of_a_group_are_sorted(opened):
    table = opened.load(pa.table({"key": ["a", "a", "b"], "text": ["y", "x", "z"]}))
    grouped = table.group_by("key").aggregate(texts=own.sorted_texts(table.text)).order_by("key")
    assert opened.fetch(grouped)["texts"].to_pylist() == [["x", "y"], ["z"]]


def test_ids_beyond_the_precision_of_floats_are_fetched_whole(opened):
    assert column(opened, [2**60 + 1, None], lambda value: value, pa.int64()) == [2**60 + 1, None]


def test_files_of_several_days_keep_their_day_and_older_ones_lack_newer_columns(opened, tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [2], "b": ["new"]}), tmp_path / "2.parquet")
    rows = opened.read_each({"monday": tmp_path / "1.parquet", "tuesday": tmp_path / "2.parquet"}, "day")
    assert opened.fetch(rows.select("day", "a", "b").order_by("day")).to_pylist() == [
        {"day": "monday", "a": 1, "b": None},
        {"day": "tuesday", "a": 2, "b": "new"},
    ]


def test_what_is_written_can_be_read_by_others(opened, tmp_path):
    table = opened.load(pa.table({"at": pa.array([START.replace(tzinfo=None)], pa.timestamp("us")), "x": [1.5]}))
    opened.write(table.select(at=own.in_utc(table["at"]), x=own.float32(table.x)), tmp_path / "out.parquet")
    written = pq.read_table(tmp_path / "out.parquet")
    assert written.schema.types == [pa.timestamp("us", tz="UTC"), pa.float32()]
    assert written["at"].to_pylist() == [START]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.none() | st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=12), max_size=30))
def test_any_texts_are_normalised_stripped_and_read_alike(engine, texts):
    with TemporaryDirectory() as folder, engine(Path(folder)) as opened:
        assert column(opened, texts, NORMALISED) == [normalise(text or "") or None for text in texts]
        assert column(opened, texts, own.stripped) == [(text or "").strip() or None for text in texts]
        assert column(opened, texts, own.time) == [None] * len(texts)
