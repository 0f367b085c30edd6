"""Housekeeping: what no reference names any more goes, so that the store does not grow without end.

**When**: every night, over all recipes.

**What**: attempts that lost a race or never got a manifest, and artifacts older than the retention time. Never the
stable, the previous, an open release, or anything that one of them was made from.

**If it is red**: nothing is lost by waiting a day; the message names the runbook.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronTriggerTimetable

from recflow_airflow.recipes import all_recipes
from recflow_airflow.release_operators import HousekeepingOperator

recipes = all_recipes()

with DAG(
    "housekeeping",
    description="Remove artifacts that nothing names any more, and compact the event log",
    schedule=CronTriggerTimetable("0 4 * * *", timezone="UTC"),
    start_date=datetime(2011, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["housekeeping"],
    default_args={
        "owner": recipes[0].owner if recipes else "recflow",
        "retries": 1,
        "retry_delay": timedelta(minutes=5),
    },
) as dag:
    HousekeepingOperator.partial(task_id="clean", map_index_template="{{ task.recipe }}").expand(
        recipe=[recipe.name for recipe in recipes]
    )
