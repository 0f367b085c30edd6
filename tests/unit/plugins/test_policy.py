from importlib.metadata import entry_points
from types import SimpleNamespace

from airflow.settings import task_instance_mutation_hook as airflows_own

from recflow_airflow.policy import task_instance_mutation_hook


def pool_of(run_id: str, *, bound: bool = True, run_type: str = "") -> str:
    task = SimpleNamespace(run_id=run_id, pool="default_pool")
    run = SimpleNamespace(run_id=run_id, run_type=run_type or run_id.partition("__")[0])
    task_instance_mutation_hook(task, run if bound else None)
    return task.pool


def test_a_scheduled_run_that_a_backfill_runs_again_waits_in_the_backfills_pool_too():
    assert pool_of("scheduled__2011-01-05T02:00:00+00:00", run_type="backfill") == "backfill"


def test_without_its_run_a_task_keeps_its_pool_unless_the_runs_name_is_a_backfills():
    assert pool_of("scheduled__2011-01-05T02:00:00+00:00", bound=False, run_type="backfill") == "default_pool"


def test_tasks_of_a_backfill_wait_in_a_pool_of_their_own():
    assert pool_of("backfill__2011-01-05T02:00:00+00:00") == "backfill"
    assert pool_of("backfill__2011-01-05T02:00:00+00:00", bound=False) == "backfill"


def test_scheduled_and_manual_runs_keep_their_pool():
    assert pool_of("scheduled__2011-01-05T02:00:00+00:00") == "default_pool"
    assert pool_of("manual__2011-01-05T02:00:00+00:00", bound=False) == "default_pool"


def test_airflow_finds_the_policy_by_its_entry_point_and_asks_it_when_it_creates_tasks():
    (found,) = [entry for entry in entry_points(group="airflow.policy") if entry.name == "recflow"]
    assert found.load().task_instance_mutation_hook is task_instance_mutation_hook
    assert airflows_own.is_noop is False
