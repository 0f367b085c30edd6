import pytest

from recflow.domain.reasons import LONGEST_REASON, refuse_long
from recflow.errors import BadConfiguration


def test_a_reason_that_fits_on_a_card_is_taken():
    refuse_long("x" * LONGEST_REASON, "the ledger", BadConfiguration)


def test_a_longer_one_is_refused_with_the_limit_and_its_length_and_is_not_repeated():
    with pytest.raises(
        BadConfiguration, match=r"too long for the ledger\. Expected at most 1,000 characters, seen 100,000"
    ):
        refuse_long("x" * 100_000, "the ledger", BadConfiguration)
