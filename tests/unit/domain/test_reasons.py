import pytest

from recflow.domain.reasons import LONGEST_REASON, refuse_long, refuse_unreadable
from recflow.errors import BadConfiguration


def test_a_reason_that_fits_on_a_card_is_taken():
    refuse_long("x" * LONGEST_REASON, "the ledger", BadConfiguration)


def test_a_longer_one_is_refused_with_the_limit_and_its_length_and_is_not_repeated():
    with pytest.raises(
        BadConfiguration, match=r"too long for the ledger\. Expected at most 1,000 characters, seen 100,000"
    ):
        refuse_long("x" * 100_000, "the ledger", BadConfiguration)


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "a\x1b[2Jb", "a\x00", "a\u202eb", "a\tb"])
def test_a_reason_that_a_terminal_would_obey_or_that_says_nothing_is_refused_and_shown_escaped(text):
    with pytest.raises(BadConfiguration, match="the reason cannot be shown") as raised:
        refuse_unreadable(text, "the reason", BadConfiguration)
    assert raised.value.message.isprintable()


def test_a_reason_in_any_language_is_taken():
    refuse_unreadable("Lieferung geprüft, 数据正确 (Ada)", "the reason", BadConfiguration)
