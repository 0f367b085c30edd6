"""Request ids: what is signed, who can be told to hold an answer, and how keys are introduced and changed."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from recflow.domain.request_ids import SigningKeys, new_issue, read_request_id

NOON = datetime(2011, 1, 5, 12, tzinfo=UTC)
OLD, NEW = b"o" * 32, b"n" * 32


def holder(keys, text, *user_keys):
    return keys.holder(read_request_id(text), user_keys)


def test_an_id_says_which_line_answered_and_when_to_the_millisecond():
    at = NOON + timedelta(milliseconds=7)
    told = read_request_id(str(SigningKeys((OLD,)).request_id("search", new_issue(at), "u-1")))
    assert (told.recipe, told.issued_s) == ("search", at.timestamp())


def test_no_two_ids_are_the_same():
    assert len({new_issue(NOON) for _ in range(100)}) == 100


def test_the_longest_id_with_its_shadows_suffix_fits_in_128_characters():
    text = str(SigningKeys((OLD,)).request_id("r" * 41, new_issue(NOON), "u" * 128))
    assert len(f"{text}-shadow") <= 128


def test_a_signed_answer_belongs_to_the_one_user_it_was_given_to():
    keys = SigningKeys((OLD,))
    text = str(keys.request_id("search", new_issue(NOON), "u-1"))
    assert holder(keys, text, "u-2", "u-1") == "u-1"
    assert holder(keys, text, "u-2", "u-3") is None


@pytest.mark.parametrize(
    "change",
    [
        (r"-\w+$", ""),
        (r"\w{32}$", ""),
        (r".$", "x"),
        (r"\w{32}$", "é" * 32),
        (r"$", "0"),
        (r"$", "-shadow"),
        (r"^search", "ads"),
        (r"-0", "-1"),
        (r"-\w{32}-", "--"),
        (r"^.*$", ""),
    ],
)
def test_an_id_that_was_changed_belongs_to_nobody(change):
    keys = SigningKeys((OLD,))
    text = str(keys.request_id("search", new_issue(NOON), "u-1"))
    assert holder(keys, re.sub(*change, text, count=1), "u-1") is None


def test_parts_cannot_be_moved_between_the_id_and_the_user():
    keys, issued = SigningKeys((OLD,)), new_issue(NOON)
    signature = keys.request_id("search", issued, "a\0b").signature
    assert holder(keys, f"search-{issued}\0a-{signature}", "b") is None


def test_while_a_key_is_changed_ids_of_both_are_accepted_and_the_new_one_signs():
    before, between, after = SigningKeys((OLD,)), SigningKeys((NEW, OLD)), SigningKeys((NEW,))
    old, new = (str(keys.request_id("search", new_issue(NOON), "u-1")) for keys in (before, between))
    assert [holder(keys, old, "u-1") for keys in (before, between, after)] == ["u-1", "u-1", None]
    assert [holder(keys, new, "u-1") for keys in (before, between, after)] == [None, "u-1", "u-1"]


def test_while_keys_are_introduced_ids_without_a_signature_are_accepted_and_forged_ones_are_not():
    keys, unsigned = SigningKeys((OLD,), accepts_unsigned=True), f"search-{new_issue(NOON)}"
    assert holder(keys, unsigned, "u-1", "anonymous:c") == "u-1"
    assert holder(keys, f"{unsigned}-{'0' * 32}", "u-1") is None
    assert holder(SigningKeys((OLD,)), unsigned, "u-1") is None


def test_without_keys_an_id_counts_for_whoever_names_it():
    keys = SigningKeys()
    assert holder(keys, str(keys.request_id("search", new_issue(NOON), "u-1")), "u-2") == "u-2"
    assert holder(keys, "search-whatever", "u-2") == "u-2"


def test_keys_are_shown_to_nobody():
    assert "ooo" not in f"{SigningKeys((OLD,))!r} {SigningKeys((OLD,)).told}"


def test_what_is_accepted_is_told():
    assert "not signed" in SigningKeys().told
    assert "one key" in SigningKeys((OLD,)).told
    assert "2 keys" in SigningKeys((NEW, OLD)).told
    assert "without a signature" in SigningKeys((OLD,), accepts_unsigned=True).told
