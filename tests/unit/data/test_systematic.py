"""Bad rows that fall on one value refuse the day and name the mapping; bad rows here and there do not."""

import re

import pytest

from recflow.data.systematic import Counted, systematic_loss


def counted(column, **groups):
    """`value=(rows, quarantined)`; an underscore stands before a digit."""
    return [Counted(column, name.strip("_"), *numbers, "a_check") for name, numbers in groups.items()]


def told(counts, rows):
    return systematic_loss(counts, rows, "2011-01-01").error.message


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (counted("position", _0=(60, 60), _1=(40, 0), _2=(40, 0)), r"60 of 60 rows with position 0.*offset: 1"),
        (counted("grade", _4=(40, 40), _0=(80, 0), _2=(80, 0)), r"grade 4.*from 0 to 4.*scale: 0\.75, offset: 0"),
        (counted("grade", _5=(40, 40), _4=(40, 40), _1=(80, 0)), r"from 1 to 5.*scale: 0\.75, offset: -0\.75"),
        (counted("hour", _23=(50, 50), _0=(50, 0)), r"hour 23.*zone"),
        (counted("kind", like=(50, 50), click=(50, 0)), r"kind like.*outcomes"),
        (counted("position", _99=(50, 46), _1=(50, 0)), r"46 of 50 rows with position 99.*map"),
    ],
)
def test_loss_that_falls_on_one_value_refuses_the_day_and_names_what_mends_it(counts, said):
    assert re.search(said, told(counts, 320))


@pytest.mark.parametrize(
    "counts",
    [
        counted("position", _0=(19, 19), _1=(400, 0)),
        counted("position", _1=(300, 100), _2=(300, 100)),
        counted("grade", _9=(30, 30), _1=(9_970, 0)),
        counted("source_file", only=(100, 95)),
    ],
    ids=["a few rows", "everywhere alike", "a rare mark", "one file is the whole day"],
)
def test_bad_luck_does_not(counts):
    assert systematic_loss(counts, 10_000, "2011-01-01") is None


def test_the_first_place_of_long_lists_is_told_although_it_is_few_rows():
    assert re.search(r"position 0.*offset: 1", told(counted("position", _0=(40, 40), _1=(40, 0)), 40_000))


def test_one_file_of_many_is_told_however_small_it_is():
    counts = counted("source_file", a=(100_000, 0), b=(30, 30))
    assert re.search(r"30 of 30 rows with source_file b.*look at that file", told(counts, 100_030))
