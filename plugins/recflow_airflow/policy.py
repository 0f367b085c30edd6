"""Airflow's cluster policy, found through the entry point `airflow.policy`: backfills have a pool of their own."""

from typing import Any

from airflow import settings
from airflow.policies import hookimpl

BACKFILL_POOL = "backfill"

# Airflow creates task instances without asking the hook unless it has seen an airflow_local_settings module; a policy
# that arrives through its entry point has to say so itself.
settings.task_instance_mutation_hook.is_noop = False  # type: ignore[attr-defined]


@hookimpl
def task_instance_mutation_hook(task_instance: Any, dag_run: Any) -> None:
    """A backfill of months never takes a slot from tonight's run.

    A scheduled run that a backfill runs again keeps its id; its type alone says so, where Airflow hands the run over.
    """
    backfills = dag_run.run_type == "backfill" if dag_run is not None else _named_a_backfill(task_instance)
    if backfills:
        task_instance.pool = BACKFILL_POOL


def _named_a_backfill(task_instance: Any) -> bool:
    return str(task_instance.run_id).startswith("backfill__")
