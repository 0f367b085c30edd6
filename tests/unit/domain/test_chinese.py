import pytest
from hypothesis import given
from hypothesis import strategies as st

from recflow.domain.chinese import simplified
from recflow.domain.text import normalise


@pytest.mark.parametrize(
    ("text", "simple"),
    [
        ("藍牙耳機 無線", "蓝牙耳机 无线"),
        ("頭髮與發財", "头发与发财"),
        ("乾燥機 乾坤", "干燥机 乾坤"),
        ("蓝牙耳机", "蓝牙耳机"),
        ("headphones 42", "headphones 42"),
        ("", ""),
    ],
)
def test_traditional_characters_become_simplified_ones_by_the_phrase(text, simple):
    assert simplified(text) == simple


@given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF)))
def test_simplifying_twice_is_simplifying_once_and_leaves_a_normal_text(text):
    once = simplified(normalise(text))
    assert simplified(once) == once
    assert normalise(once) == once


def test_a_character_that_is_simplified_in_two_steps_goes_all_the_way():
    assert simplified("薴") == simplified(simplified("薴"))
