import ast
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recflow.domain import lexical, text


def feature(name, query, title):
    return lexical.features(query, [title])[0][lexical.NAMES.index(name)]


@given(st.text(max_size=60), st.lists(st.text(max_size=80), max_size=4))
def test_any_two_texts_give_numbers_between_zero_and_one(query, titles):
    rows = lexical.features(query, titles)
    assert len(rows) == len(titles)
    assert all(len(row) == len(lexical.NAMES) and all(0 <= value <= 1 for value in row) for row in rows)


@pytest.mark.parametrize(
    ("name", "query", "title", "value"),
    [
        ("coverage", "red shoes", "Red running shoe", 1),
        ("coverage", "red shoes", "Blue shoe", 0.5),
        ("coverage", "the shoe", "shoe", 1),
        ("bigram_coverage", "red shoe", "red big shoe", 0),
        ("all_words", "red shoe", "shoe in red", 1),
        ("precision", "red shoe", "red shoe for men", 0.5),
        ("last_word", "red shoe", "blue shoe", 1),
        ("accessory", "galaxy phone", "case for galaxy phone", 1),
        ("accessory", "galaxy phone", "galaxy phone for men", 0),
        ("accessory", "case for galaxy phone", "cover for galaxy phone", 0),
        ("coverage", "无线耳机", "索尼 无线 耳机", 1),
    ],
)
def test_features_by_hand(name, query, title, value):
    assert feature(name, query, title) == pytest.approx(value)


def test_words_written_together_still_overlap():
    assert feature("joined_trigrams", "earphone", "ear phone") > 0.7


def test_plurals_and_possessives_are_one_word():
    assert lexical.words("Men's batteries, boxes & glasses") == ["men", "battery", "box", "glass"]


def test_an_item_without_description_is_its_title():
    assert lexical.described("Red shoe", "") == "Red shoe"
    assert lexical.described("Red shoe", "x" * 5000).startswith("Red shoe. xxx")
    assert len(lexical.described("Red shoe", "x" * 5000)) < 1100


@pytest.mark.parametrize("module", [lexical, text])
def test_rules_that_are_copied_into_models_need_the_standard_library_only(module):
    tree = ast.parse(Path(module.__file__).read_text())
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in named} <= sys.stdlib_module_names
