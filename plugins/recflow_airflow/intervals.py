"""Which interval a run is about."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from recflow.artifacts.manifests import Interval
from recflow.config.recipe import Recipe
from recflow.domain.intervals import day_interval, newest_whole_day
from recflow.errors import BadConfiguration


def interval_of(context: Mapping[str, Any], recipe: Recipe) -> Interval:
    """The run's day: the `day` parameter, else the data interval's first day, else the newest whole day.

    Runs without a logical date (asset events, some API calls) have no data interval at all; a run by hand with a
    logical date may have an empty one. BadConfiguration for a backfill's day before the line's first one, which Airflow
    lets begin.
    """
    interval = _day_of(context, recipe)
    first = recipe.schedule.first_day.isoformat()
    if context["dag_run"].run_type == "backfill" and interval.label < first:
        raise BadConfiguration(
            f"the backfill's day {interval.label} lies before the first one of {recipe.name}",
            expected=f"{first} or later", seen=interval.label,
            action=f"begin the backfill at {first}, or set schedule.first_day to an earlier day",
        )  # fmt: skip
    return interval


def _day_of(context: Mapping[str, Any], recipe: Recipe) -> Interval:
    timezone = recipe.schedule.timezone
    if day := context["params"].get("day"):
        return day_interval(str(day), timezone)
    start = context.get("data_interval_start")
    if start is None or start == context.get("data_interval_end"):
        return newest_whole_day(context["dag_run"].run_after, timezone)
    return day_interval(start.astimezone(ZoneInfo(timezone)).date().isoformat(), timezone)
