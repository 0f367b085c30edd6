from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest

from recflow.config.recipe import Recipe, ScheduleSection
from recflow.errors import BadConfiguration
from recflow_airflow.intervals import interval_of

BERLIN = Recipe(name="shop_search", owner="search", schedule=ScheduleSection(timezone="Europe/Berlin"))
PLAIN = Recipe(name="shop_search", owner="search")


def context(*, day=None, start=None, end=None, after=datetime(2011, 3, 5, 2, tzinfo=UTC), run_type="scheduled"):
    given = {"params": {"day": day}, "dag_run": SimpleNamespace(run_after=after, run_type=run_type)}
    return given if start is None else {**given, "data_interval_start": start, "data_interval_end": end}


def test_a_scheduled_run_is_about_the_day_in_which_its_interval_starts():
    start, end = datetime(2011, 3, 3, 2, tzinfo=UTC), datetime(2011, 3, 4, 2, tzinfo=UTC)
    assert interval_of(context(start=start, end=end), PLAIN).label == "2011-03-03"


def test_the_day_is_read_in_the_shops_time_zone():
    start, end = datetime(2011, 3, 3, 23, tzinfo=UTC), datetime(2011, 3, 4, 23, tzinfo=UTC)
    interval = interval_of(context(start=start, end=end), BERLIN)
    assert (interval.label, interval.start) == ("2011-03-04", start)


def test_a_day_that_a_person_names_wins_over_the_interval():
    start, end = datetime(2011, 3, 3, tzinfo=UTC), datetime(2011, 3, 4, tzinfo=UTC)
    assert interval_of(context(day="2011-01-09", start=start, end=end), PLAIN).label == "2011-01-09"


def test_a_run_without_a_logical_date_is_about_the_newest_whole_day():
    assert interval_of(context(), PLAIN).label == "2011-03-04"
    assert interval_of(context(after=datetime(2011, 3, 4, 22, tzinfo=UTC)), BERLIN).label == "2011-03-03"
    assert interval_of(context(after=datetime(2011, 3, 4, 23, tzinfo=UTC)), BERLIN).label == "2011-03-04"


def test_an_empty_interval_counts_as_none():
    now = datetime(2011, 3, 5, 2, tzinfo=UTC)
    assert interval_of(context(start=now, end=now), PLAIN).label == "2011-03-04"


def test_a_day_that_is_no_day_is_refused_with_an_example():
    with pytest.raises(BadConfiguration, match="2011-01-04"):
        interval_of(context(day="tomorrow"), PLAIN)


def test_a_backfill_that_begins_before_the_first_day_is_refused_with_the_day_to_begin_at():
    late = Recipe(name="shop_search", owner="search", schedule=ScheduleSection(first_day=date(2011, 3, 3)))
    day = {"start": datetime(2011, 3, 2, 2, tzinfo=UTC), "end": datetime(2011, 3, 3, 2, tzinfo=UTC)}
    with pytest.raises(BadConfiguration, match="begin the backfill at 2011-03-03"):
        interval_of(context(**day, run_type="backfill"), late)
    assert interval_of(context(**day, run_type="manual"), late).label == "2011-03-02"
    first = {name: moment + timedelta(days=1) for name, moment in day.items()}
    assert interval_of(context(**first, run_type="backfill"), late).label == "2011-03-03"
