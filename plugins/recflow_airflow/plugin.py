"""Airflow's plugin, by the entry point `airflow.plugins`: a run that a backfill took over changes its pool."""

import sys
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from recflow_airflow.policy import BACKFILL_POOL


@hookimpl
def on_dag_run_running(dag_run: Any) -> None:
    """Put the tasks of a backfill's run into its pool when the scheduler starts it.

    Airflow clears a scheduled run that a backfill runs again, and asks the policy, before it makes it a backfill's.
    """
    if dag_run.run_type == "backfill":
        for task_instance in dag_run.task_instances:
            task_instance.pool = BACKFILL_POOL


class RecflowPlugin(AirflowPlugin):
    """What Airflow reads of this module."""

    name = "recflow"
    listeners = [sys.modules[__name__]]
