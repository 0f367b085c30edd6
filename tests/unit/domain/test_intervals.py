from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recflow.domain.intervals import day_interval
from recflow.errors import BadConfiguration


def test_a_day_in_utc_is_its_24_hours():
    day = day_interval("2011-01-04", "UTC")
    assert (day.label, day.start.isoformat(), day.end.isoformat()) == (
        "2011-01-04",
        "2011-01-04T00:00:00+00:00",
        "2011-01-05T00:00:00+00:00",
    )


@pytest.mark.parametrize(
    ("label", "zone", "start", "hours"),
    [
        ("2011-01-04", "Asia/Shanghai", "2011-01-03T16:00:00+00:00", 24),
        ("2011-03-27", "Europe/Berlin", "2011-03-26T23:00:00+00:00", 23),
        ("2011-10-30", "Europe/Berlin", "2011-10-29T22:00:00+00:00", 25),
        ("2010-10-17", "America/Sao_Paulo", "2010-10-17T03:00:00+00:00", 23),
        ("2011-02-19", "America/Sao_Paulo", "2011-02-19T02:00:00+00:00", 25),
    ],
)
def test_a_day_is_as_long_as_the_clocks_make_it(label, zone, start, hours):
    day = day_interval(label, zone)
    assert day.start.isoformat() == start
    assert day.end - day.start == timedelta(hours=hours)


@given(st.dates(), st.sampled_from(["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Beirut", "Pacific/Apia"]))
def test_days_follow_one_another_without_gap_or_overlap(day, zone):
    if day.year in {1, 9999}:
        return
    today = day_interval(day.isoformat(), zone)
    assert today.start <= today.end == day_interval((day + timedelta(days=1)).isoformat(), zone).start


@pytest.mark.parametrize("label", ["", "yesterday", "2011-13-01", "2011-02-30", "2011-01-04T00:00"])
def test_a_label_that_is_no_day_is_refused(label):
    with pytest.raises(BadConfiguration, match="2011-01-04"):
        day_interval(label, "UTC")


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "../etc", ""])
def test_a_zone_that_nobody_knows_is_refused(zone):
    with pytest.raises(BadConfiguration):
        day_interval("2011-01-04", zone)
