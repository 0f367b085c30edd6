import pytest
from hypothesis import given
from hypothesis import strategies as st

from recflow.config.sections.cleaning import CleaningSection
from recflow.domain.free_text import NORMALISE, cleaned, report, rules_for_catalogue, rules_for_people

ALL = CleaningSection(mask_catalogue=True, simplify_chinese=True)


def test_rules_work_in_their_order():
    assert cleaned("<b>藍牙</b> １３８００１３８０００", rules_for_people(ALL)) == "蓝牙 [phone]"


@given(st.text(alphabet="藍牙薴 １3800138000<b>&amp;@a.de\u200b"))
def test_cleaning_twice_is_cleaning_once(text):
    once = cleaned(text, rules_for_people(ALL))
    assert cleaned(once, rules_for_people(ALL)) == once


@pytest.mark.parametrize(
    ("cleaning", "people", "catalogue"),
    [
        (CleaningSection(), ["normalise", "mask"], ["normalise"]),
        (CleaningSection(mask=False, mask_catalogue=True), ["normalise"], ["normalise"]),
        (ALL, ["normalise", "simplify_chinese", "mask"], ["normalise", "simplify_chinese", "mask"]),
    ],
)
def test_the_recipe_says_which_rules_there_are(cleaning, people, catalogue):
    assert [rule.name for rule in rules_for_people(cleaning)] == people
    assert [rule.name for rule in rules_for_catalogue(cleaning)] == catalogue


def test_a_report_has_three_examples_and_none_holds_personal_data():
    pairs = [
        ("ａ@b.de", "a@b.de"),
        ("a  b", "a b"),
        ("ｃ", "c"),
        ("１３８\u200b00138000", "13800138000"),
        ("ｄ", "d"),
        ("ｅ", "e"),
    ]
    told = report(NORMALISE.name, 6, pairs)
    assert told.changed == 6
    assert told.examples == ("'a  b' → 'a b'", "'ｃ' → 'c'", "'ｄ' → 'd'")


def test_of_masking_only_what_it_left_is_shown():
    assert report("mask", 1, [("mail a@b.de", "mail [email]")]).examples == ("mail [email]",)


def test_long_examples_are_cut():
    assert len(report("mask", 1, [("x" * 999, "y" * 999)]).examples[0]) == 121
