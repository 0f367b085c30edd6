from importlib.metadata import entry_points
from types import SimpleNamespace

import pytest

from recflow_airflow.plugin import RecflowPlugin, on_dag_run_running


def pools_of(run_type):
    tasks = [SimpleNamespace(pool="default_pool") for _ in range(2)]
    on_dag_run_running(SimpleNamespace(run_type=run_type, task_instances=tasks))
    return {task.pool for task in tasks}


@pytest.mark.parametrize(("run_type", "pool"), [("backfill", "backfill"), ("scheduled", "default_pool")])
def test_the_tasks_of_a_run_that_a_backfill_took_over_wait_in_its_pool_once_the_run_begins(run_type, pool):
    assert pools_of(run_type) == {pool}


def test_airflow_finds_the_plugin_by_its_entry_point_and_tells_it_when_a_run_begins():
    (found,) = [entry for entry in entry_points(group="airflow.plugins") if entry.value.startswith("recflow_airflow")]
    assert found.load() is RecflowPlugin
    assert [listener.on_dag_run_running for listener in RecflowPlugin.listeners] == [on_dag_run_running]
