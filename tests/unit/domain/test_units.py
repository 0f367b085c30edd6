"""Who a unit is: an id that many people share is nobody's."""

import pytest

from recflow.domain.units import stands_for_nobody, unit_of

ZEROS = "00000000-0000-0000-0000-000000000000"
NOBODY = "undefined null None NaN nil 0 000 - -1 guest Anonymous anon unknown N/A na (null) 'null' <none> false".split()
NOBODY += [" ", "Guest ", "(not set)", "[object Object]", ZEROS, f"{{{ZEROS}}}"]
SOMEBODY = f"u-1 1 10 -2 guest-17 anna nancy nullo test 42null 0x0f anonymous1 {ZEROS[:-1]}1".split()


@pytest.mark.parametrize("identity", NOBODY)
def test_a_word_for_a_missing_id_is_no_id(identity):
    assert stands_for_nobody(identity)
    assert not unit_of(identity, "").is_known
    assert unit_of("", identity).nobody


@pytest.mark.parametrize("identity", SOMEBODY)
def test_an_id_of_somebody_is_left_alone(identity):
    assert unit_of(identity, "").keys("i") == (identity,)


def test_a_visitor_with_an_id_of_nobody_for_a_user_stays_that_visitor():
    unit = unit_of("undefined", "cookie-1")
    assert (unit.user, unit.keys("i")[0], unit.nobody) == ("", "anonymous:cookie-1", True)


def test_no_two_answers_to_nobody_are_one_unit():
    unit = unit_of("guest", "null")
    assert unit.keys("first") == ("unidentified:first",)
    assert unit.keys("second") == ("unidentified:second",)


def test_who_signs_in_may_hold_an_answer_to_the_visitor_of_before():
    assert unit_of("u-1", "cookie-1").keys("i") == ("u-1", "anonymous:cookie-1")
    assert unit_of("u-1", "guest").keys("i") == ("u-1", "unidentified:i")


def test_two_missing_ids_are_no_id_of_nobody():
    assert unit_of("", "").keys("i") == ()
