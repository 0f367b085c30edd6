"""Runs of the real Airflow as its API shows them."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from e2e.small_host import RECIPE, RETRAIN, services_of
from host.stack import Stack
from recflow.artifacts.ledger import LedgerState
from recflow.wiring import Services

OVER = frozenset({"success", "failed"})
TIMEOUT_S = 900.0


def wait_for(what: str, found: Callable[[], Any]) -> Any:
    """The first true value that `found` gives; AssertionError after a time that only a hang reaches."""
    deadline = time.monotonic() + TIMEOUT_S
    while not (value := found()):
        assert time.monotonic() < deadline, f"{what} did not happen within {TIMEOUT_S:.0f} s"
        time.sleep(0.5)
    return value


@dataclass(frozen=True)
class Runs:
    """Triggers, finds and reads runs."""

    stack: Stack

    @property
    def services(self) -> Services:
        return services_of(self.stack)

    @property
    def state(self) -> LedgerState:
        return self.state_of(RECIPE)

    def state_of(self, recipe: str) -> LedgerState:
        head = self.services.ledger.head(recipe)
        return head.state if head else LedgerState()

    def api(self, method: str, path: str, body: Any = None) -> Any:
        return self.stack.airflow.api(method, path, body)

    def of(self, dag_id: str, **having: str) -> list[dict[str, Any]]:
        """Runs of a DAG, oldest first, with these values in their fields."""
        asked = {"dag_ids": [dag_id], "order_by": "run_after", "page_limit": 100}
        runs = self.api("POST", "/dags/~/dagRuns/list", asked)["dag_runs"]
        return [run for run in runs if all(run[name] == value for name, value in having.items())]

    def trigger(self, dag_id: str, day: date | None = None) -> str:
        conf = {"day": day.isoformat()} if day else {}
        return str(self.api("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})["dag_run_id"])

    def mark(self, dag_id: str, run_id: str, state: str, task_id: str = "") -> None:
        """What a person marks on the page of a run, or of one of its tasks."""
        body = {"new_state": state} if task_id else {"state": state}
        self.api("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}" + (f"/taskInstances/{task_id}" if task_id else ""), body)

    def clear(self, dag_id: str, run_id: str, task_id: str = "") -> None:
        """Clear a run, or one of its tasks with all that follow it."""
        if not task_id:
            self.api("POST", f"/dags/{dag_id}/dagRuns/{run_id}/clear", {"dry_run": False})
            return
        asked = {"dag_run_id": run_id, "task_ids": [task_id], "include_downstream": True, "only_failed": False}
        self.api("POST", f"/dags/{dag_id}/clearTaskInstances", {**asked, "dry_run": False})

    def finish(self, dag_id: str, run_id: str) -> str:
        """Wait for the end of a run; its state."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}"
        return str(wait_for(f"the end of {run_id}", lambda: _over(self.api("GET", path)["state"])))

    def finish_all(self, dag_id: str, run_ids: Iterable[str]) -> set[str]:
        return {self.finish(dag_id, run_id) for run_id in run_ids}

    def backfills_are_over(self, dag_id: str) -> bool:
        """Whether the scheduler says so, some seconds after the last run; only one may run at a time."""
        return all(one["completed_at"] for one in self.api("GET", f"/backfills?dag_id={dag_id}")["backfills"])

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """Task instances by task, or by task[index] for mapped ones."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        instances = self.api("GET", path)["task_instances"]
        return {_name(instance): instance for instance in instances}

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        return {name: task["state"] for name, task in self.tasks(dag_id, run_id).items()}

    def returned(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Any:
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.api("GET", f"{path}?map_index={map_index}&deserialize=true")["value"]

    def results(self, run_id: str, dag_id: str) -> dict[str, str]:
        """The digest of every stage's result in a run."""
        given = {task: self.returned(dag_id, run_id, task) for task in STAGE_TASKS}
        return {task: ref["digest"] for task, ref in given.items()}

    def log(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1) -> list[str]:
        """The messages of one try, exceptions included."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}?full_content=true"
        return [_text(line) for line in self.api("GET", path)["content"]]


STAGE_TASKS = "pin_parent validate_partition build_dataset fine_tune compress package offline_gate".split()


def _over(state: str) -> str:
    return state if state in OVER else ""


def _name(instance: dict[str, Any]) -> str:
    index = instance["map_index"]
    return str(instance["task_id"] if index < 0 else f"{instance['task_id']}[{index}]")


def _text(line: dict[str, Any]) -> str:
    return str(line["event"]) + (json.dumps(line["error_detail"]) if "error_detail" in line else "")


def create_backfill(stack: Stack, first: date, end: date, again: str) -> None:
    """Ask on the command line for the days from `first` until before `end`; `again`: which existing runs too."""
    command = [sys.executable, "-m", "airflow", "backfill", "create", "--dag-id", RETRAIN, "--max-active-runs", "1"]
    command += ["--from-date", f"{first}", "--to-date", f"{end}", "--reprocess-behavior", again]
    done = subprocess.run(command, env=stack.airflow.variables(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
