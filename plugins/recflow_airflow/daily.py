"""What the daily DAGs of all lines have in common: when they run, and what a person may ask of a run."""

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import CronDataIntervalTimetable, Param

from recflow.config.recipe import Recipe


def every_day(recipe: Recipe) -> CronDataIntervalTimetable:
    """A run every day for the day before, in the shop's own time zone."""
    return CronDataIntervalTimetable(recipe.schedule.cron, timezone=recipe.schedule.timezone)


def daily(recipe: Recipe) -> dict[str, Any]:
    """The arguments, beside its schedule, of a DAG that reads a day of the recipe."""
    schedule = recipe.schedule
    return {
        "start_date": datetime.combine(schedule.first_day, datetime.min.time()),
        "catchup": False,
        "max_active_runs": 2,
        "params": {
            "day": Param(
                None,
                type=["null", "string"],
                format="date",
                title="Day",
                description="Day to read; empty: the run's own.",
            ),
            "fresh": Param(
                None,
                type=["null", "string"],
                maxLength=1000,
                title="Compute again because",
                description="A reason to compute every stage again; empty: take earlier results for equal inputs.",
            ),
        },
        "default_args": {
            "owner": recipe.owner,
            "recipe": recipe.name,
            "retries": 3,
            "retry_delay": timedelta(minutes=1),
            "execution_timeout": timedelta(hours=schedule.max_job_hours),
        },
    }
