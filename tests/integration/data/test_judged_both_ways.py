"""A day that is judged row by row, and the same day judged by expressions, as a large one is."""

import re

import pytest

from fakes.deliveries import day, recipe
from fakes.engines import duckdb_engine
from recflow.config.sections.data import DataSection
from recflow.data.checks import built_in_checks, day_facts, recipe_checks, with_evidence
from recflow.data.clean import clean
from recflow.data.judge import judge
from recflow.data.rows import PLACE
from recflow.data.sample.shop import SampleShop, write_shop
from recflow.data.sources import open_source
from recflow.errors import BadConfiguration, JudgeFailed

# A cluster of four Java processes gets on slowly beside other work.
pytestmark = pytest.mark.timeout(900)

RULES = [
    {"expectation": "expect_column_values_to_not_match_regex", "kwargs": {"column": "title", "regex": r"l[a]mp\b"}},
    {"expectation": "expect_column_values_to_match_regex", "kwargs": {"column": "user_key", "regex": "^u0"}},
    {"expectation": "expect_column_values_to_be_unique", "kwargs": {"column": "request_id", "mostly": 0.9}},
    {"expectation": "expect_column_values_to_not_be_null", "kwargs": {"column": "description", "mostly": 0.5}},
    {"expectation": "expect_column_values_to_not_be_null", "kwargs": {"column": "description", "mostly": 0.99}},
    {
        "expectation": "expect_column_values_to_be_between",
        "kwargs": {"column": "position", "min_value": 1, "max_value": 3, "strict_min": True, "strict_max": True},
    },
    {"expectation": "expect_column_values_to_not_be_in_set", "kwargs": {"column": "position", "value_set": [2, 3]}},
    {"expectation": "expect_column_value_lengths_to_be_between", "kwargs": {"column": "query", "min_value": 9}},
    {"expectation": "expect_column_mean_to_be_between", "kwargs": {"column": "position", "max_value": 1}},
    {"expectation": "expect_column_max_to_be_between", "kwargs": {"column": "position", "min_value": 1}},
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    write_shop(SampleShop(days=1, rows=1_500, queries=25, users=100), folder)
    return folder


def judged(opened, shop, folder, rules, **options):
    """The verdict on the first day: what its report says, and the rows it refuses."""
    settings = recipe("shop", str(shop), data={"checks": rules})
    delivery = open_source(settings, shop.as_uri()).deliver(day(), folder)
    rows = clean(opened, opened.read(delivery.files), "day", DataSection(max_duplicate_share=0.5)).rows
    checks = [
        *built_in_checks(day_facts(opened, rows, settings), day(), settings),
        *recipe_checks(settings.data.checks),
    ]
    evidence = with_evidence(opened, rows, day(), settings)
    docs = folder / f"docs-{len(list(folder.iterdir()))}"
    verdict = judge(opened, evidence, checks, "day", docs, **options)
    return verdict.results, opened.fetch(verdict.broken.order_by([*PLACE, "reason"])).to_pylist(), docs


def test_the_same_day_has_the_same_verdict_reasons_and_examples_both_ways(shop, engine, tmp_path):
    rules = [{"name": f"rule_{number}", "severity": "warning", **rule} for number, rule in enumerate(RULES)]
    with engine(tmp_path) as opened:
        results, refused, _ = judged(opened, shop, tmp_path, rules)
        large, refused_of_large, docs = judged(opened, shop, tmp_path, rules, row_by_row_max_rows=0)
    assert large == results
    assert refused_of_large == refused != []
    assert {result.name for result in results if not result.passed} >= {"rule_1", "rule_2", "rule_4", "rule_8"}
    page = (docs / "expectations" / "day.html").read_text(encoding="utf-8")
    assert re.search(r"rule_5: [1-9][0-9]* of [0-9]+ rows break it", page)
    assert list(docs.glob("validations/**/*.html"))


def test_what_no_expression_can_tell_is_refused_on_a_large_day(shop, tmp_path):
    rule = {"name": "odd", "expectation": "expect_column_stdev_to_be_between", "kwargs": {"column": "value"}}
    with duckdb_engine(tmp_path) as opened, pytest.raises(BadConfiguration, match="odd cannot be judged on a day of"):
        judged(opened, shop, tmp_path, [rule], row_by_row_max_rows=0)


def test_a_check_that_its_column_does_not_allow_is_no_bad_data_on_a_large_day(shop, tmp_path):
    rule = {"name": "odd", "expectation": "expect_column_values_to_be_between", "kwargs": {"column": "title"}}
    rule["kwargs"]["min_value"] = 3
    with duckdb_engine(tmp_path) as opened, pytest.raises(JudgeFailed, match=r"odd .* could not be evaluated"):
        judged(opened, shop, tmp_path, [rule], row_by_row_max_rows=0)
