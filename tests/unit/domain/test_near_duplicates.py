import pytest
from hypothesis import given
from hypothesis import strategies as st

from recflow.domain.near_duplicates import near_duplicate_key
from recflow.domain.text import normalise


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Great phone!!", "great  phone"),
        ("ｉＰｈｏｎｅ 12，64GB", "iPhone 12 - 64gb"),
        ("很好，很喜欢。", "很好 很喜欢"),
        ("<b>Nice</b> &amp; soft", "nice soft 😊"),
    ],
)
def test_case_width_markup_punctuation_and_spaces_make_no_difference(one, other):
    assert near_duplicate_key(one) == near_duplicate_key(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("S20+", "S20"),
        ("C++", "C#"),
        ("1.5 kg", "15 kg"),
        ("not good", "good"),
        ("हिन्दी", "हनद"),
        ("very good", "good very"),
    ],
)
def test_other_words_numbers_and_models_do(one, other):
    assert near_duplicate_key(one) != near_duplicate_key(other)


@pytest.mark.parametrize("text", ["", "!!!", "😊😊", "..."])
def test_a_text_without_words_equals_none(text):
    assert near_duplicate_key(text) == ""


@given(st.text())
def test_a_text_has_one_key_however_often_it_is_normalised(text):
    assert near_duplicate_key(normalise(text)) == near_duplicate_key(text)
