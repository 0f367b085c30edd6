from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.timetables.base import TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable as SchedulersTimetable

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


CHANGES = {  # of clocks, each with the first of six days around it
    ("Europe/Berlin", "2011-03-25"): 23,
    ("Europe/Berlin", "2011-10-28"): 25,
    ("America/Sao_Paulo", "2010-10-15"): 23,  # midnight itself is left out
    ("America/Sao_Paulo", "2011-02-17"): 25,  # the hour before midnight comes twice
}


@pytest.mark.parametrize("cron", ["0 2 * * *", "30 2 * * *", "0 0 * * *"])
@pytest.mark.parametrize(("zone", "first"), CHANGES)
def test_each_local_day_has_one_run_after_its_end_whatever_the_clocks_do(zone, first, cron):
    recipe = Recipe(name="shop_search", owner="search", schedule=ScheduleSection(timezone=zone, cron=cron))
    start = datetime.combine(date.fromisoformat(first), datetime.min.time(), ZoneInfo(zone))
    timetable = SchedulersTimetable(cron, timezone=zone)
    since, last, days = TimeRestriction(pendulum.instance(start), None, catchup=True), None, []
    for _ in range(6):
        run = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=since)
        last = run.data_interval
        days.append(interval_of(context(start=last.start, end=last.end, after=run.run_after), recipe))
        assert run.run_after >= days[-1].end
    assert [day.label for day in days] == [f"{start.date() + timedelta(days=n)}" for n in range(6)]
    assert all(before.end == after.start for before, after in pairwise(days))
    hours = [(day.end - day.start) / timedelta(hours=1) for day in days]
    assert sorted(hours) == sorted([24] * 5 + [CHANGES[zone, first]])
