"""Data: yesterday's events of a line without a model are checked and kept.

**When**: every day, for the day before; by hand for any day (`day`); as a backfill for past days. Days that the
recipe's `schedule` calls closed are skipped, and say so.

**What**: `validate_partition` cleans and checks the day, puts bad rows aside with their reasons, and makes the day's
partition the current one. `validate_redelivered` does so for those of the days before (`schedule.lookback_days`) that
were delivered anew; a delivery that is refused leaves the old partition current and sends a card. Both compute in jobs
beside Airflow.

**If it is red**: the message says what happened, what happens next and what to do, and ends with its runbook. The days
before stay as they are. After mending the cause, clear the task.
"""

from airflow.sdk import DAG

from recflow_airflow.daily import daily, every_day
from recflow_airflow.recipes import data_lines
from recflow_airflow.stage_operators import RedeliveredOperator, StageOperator


def data(recipe):
    """The daily DAG of one line of data."""
    with DAG(
        f"{recipe.name}__data",
        description=f"Check and keep the newest day of {recipe.name}",
        schedule=every_day(recipe),
        doc_md=__doc__,
        tags=["data", *recipe.tags],
        **daily(recipe),
    ) as dag:
        StageOperator(stage="validate_partition")
        RedeliveredOperator()
    return dag


for _recipe in data_lines():
    globals()[f"{_recipe.name}__data"] = data(_recipe)
