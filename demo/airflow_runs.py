"""Runs of the demo's DAGs: trigger one, follow it task by task, and fail with the task's own message."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.screen import Screen
from host.airflow import AirflowHost
from recflow.errors import PermanentError

OVER = frozenset({"success", "skipped", "failed", "upstream_failed"})
POLL_S = 2.0
TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Runs:
    """Triggers and follows runs through Airflow's public API, as a person would through its pages."""

    airflow: AirflowHost
    screen: Screen

    def run(self, dag_id: str, conf: dict[str, Any], title: str) -> dict[str, Any]:
        """Trigger a DAG, follow the run to its end, give what each task returned; PermanentError if it fails."""
        self._wait_for(dag_id)
        run = self.airflow.api("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})
        path = f"/dags/{dag_id}/dagRuns/{run['dag_run_id']}"
        deadline = time.monotonic() + TIMEOUT_S
        while (state := self.airflow.api("GET", path)["state"]) not in ("success", "failed"):
            self._show(path, title)
            if time.monotonic() > deadline:
                raise PermanentError(f"{dag_id} took too long", expected=f"{TIMEOUT_S:.0f} s", seen=state)
            time.sleep(POLL_S)
        self._show(path, title)
        if state == "failed":
            failed = [task["task_id"] for task in self._tasks(path) if task["state"] == "failed"]
            seen = f"failed: {', '.join(failed)}{self._cause(run['dag_run_id'])}"
            raise PermanentError(
                f"{dag_id} failed", expected="success", seen=seen,
                action=f"open {self.airflow.url}/dags/{dag_id}/runs/{run['dag_run_id']}",
            )  # fmt: skip
        return {task["task_id"]: self._returned(path, task["task_id"]) for task in self._tasks(path)}

    def _cause(self, run_id: str) -> str:
        """What the newest on-call card of a run says; empty without one."""
        alerts = Path(self.airflow.environment["RECFLOW_HOME"]) / "alerts.jsonl"
        lines = alerts.read_text(encoding="utf-8").splitlines() if alerts.exists() else []
        causes = [card["cause"] for card in map(json.loads, lines) if card["title"].endswith(run_id)]
        return f": {causes[-1]}" if causes else ""

    def _returned(self, path: str, task_id: str) -> Any:
        entries = self.airflow.api("GET", f"{path}/taskInstances/{task_id}/xcomEntries")["xcom_entries"]
        if not any(entry["key"] == "return_value" for entry in entries):
            return None
        return self.airflow.api("GET", f"{path}/taskInstances/{task_id}/xcomEntries/return_value")["value"]

    def _show(self, path: str, title: str) -> None:
        tasks = self._tasks(path)
        over = [task for task in tasks if task["state"] in OVER]
        now = [task["task_id"] for task in tasks if task["state"] in ("running", "deferred", "queued")]
        self.screen.step(
            f"{title:10} {', '.join(sorted(now)) or 'done' if over else 'starting':40}", len(over), len(tasks)
        )

    def _tasks(self, path: str) -> list[dict[str, Any]]:
        return list(self.airflow.api("GET", f"{path}/taskInstances")["task_instances"])

    def _wait_for(self, dag_id: str) -> None:
        """A DAG can be triggered once the DAG processor has read its file."""
        deadline = time.monotonic() + TIMEOUT_S
        while not any(dag["dag_id"] == dag_id for dag in self.airflow.api("GET", "/dags")["dags"]):
            if time.monotonic() > deadline:
                raise PermanentError(f"{dag_id} is unknown to Airflow", expected="a DAG", seen="none")
            time.sleep(POLL_S)
