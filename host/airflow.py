"""Airflow on one host, booted in the order that does not lose scheduled runs.

The API server must answer, and must have built its execution routes, before the scheduler starts a first task.
"""

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from host.processes import Processes
from host.sqlite import let_readers_pass_writers

REPOSITORY = Path(__file__).resolve().parent.parent
BOOT_TIMEOUT_S = 180.0
API_SERVER = "airflow-api"
# Processes that write at once wait for one another; on a busy host longer than the driver's five seconds. The API
# server alone does not: it may be waiting for itself, and then nobody is answered until it gives up.
BUSY_TIMEOUT_S, API_BUSY_TIMEOUT_S = 60, 5
BACKFILL_POOL, BACKFILL_SLOTS = "backfill", 2  # the pool that recflow_airflow.policy puts backfills into


@dataclass(frozen=True)
class AirflowHost:
    """One Airflow: its home folder, its port, and the environment that its tasks see."""

    home: Path
    port: int
    environment: Mapping[str, str]
    dags: Path = REPOSITORY / "dags"

    @property
    def url(self) -> str:
        """Where the web UI and the API answer."""
        return f"http://127.0.0.1:{self.port}"

    def variables(self, process: str = "") -> dict[str, str]:
        """The environment of an Airflow process, complete; the same for all but API_SERVER."""
        busy_s = API_BUSY_TIMEOUT_S if process == API_SERVER else BUSY_TIMEOUT_S
        settings = {
            "CORE__DAGS_FOLDER": str(self.dags),
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": "4",
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "1",
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home.resolve() / 'airflow.db'}?timeout={busy_s}",
            "DATABASE__SQL_ALCHEMY_CONNECT_ARGS": "host.sqlite.CONNECT_ARGS",
            "API__HOST": "127.0.0.1",
            "API__PORT": str(self.port),
            "API__BASE_URL": self.url,
            "API__WORKERS": "1",
            "API_AUTH__JWT_SECRET": self._secret(),
            "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "DAG_PROCESSOR__REFRESH_INTERVAL": "60",
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
            "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
            "USAGE_DATA_COLLECTION__ENABLED": "False",
            "LOGGING__LOGGING_LEVEL": "INFO",
        }
        airflow = {f"AIRFLOW__{name}": value for name, value in settings.items()}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, **self.environment, **airflow, "AIRFLOW_HOME": str(self.home.resolve()), "PATH": path}

    def start(self, processes: Processes) -> None:
        """Migrate, then API server, then DAG processor and triggerer, then the scheduler."""
        self.home.mkdir(parents=True, exist_ok=True)
        migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
        processes.run("airflow-migrate", migrate, self.variables(), cwd=REPOSITORY)
        let_readers_pass_writers(self.home / "airflow.db")
        self._launch(processes, API_SERVER, "api-server", "--host", "127.0.0.1", "--port", str(self.port))
        processes.wait(API_SERVER, lambda: self._answers("/api/v2/version"), timeout_s=BOOT_TIMEOUT_S)
        self._launch(processes, "airflow-dag-processor", "dag-processor")
        self._launch(processes, "airflow-triggerer", "triggerer", "--skip-serve-logs")
        processes.wait(API_SERVER, lambda: self._answers("/execution/health"), timeout_s=BOOT_TIMEOUT_S)
        self.api("POST", "/pools", {"name": BACKFILL_POOL, "slots": BACKFILL_SLOTS, "include_deferred": True})
        self._launch(processes, "airflow-scheduler", "scheduler", "--skip-serve-logs")

    def api(self, method: str, path: str, body: Any = None, *, timeout_s: float = 60) -> Any:
        """Call the public API as administrator; the answer's JSON, None when it is empty."""
        headers = {"Authorization": f"Bearer {self._token}"}
        answer = httpx.request(method, f"{self.url}/api/v2{path}", json=body, headers=headers, timeout=timeout_s)
        if answer.status_code != httpx.codes.CONFLICT:
            answer.raise_for_status()
        return answer.json() if answer.content else None

    @cached_property
    def _token(self) -> str:
        answer = httpx.get(f"{self.url}/auth/token", timeout=60).raise_for_status()
        return str(answer.json()["access_token"])

    def _launch(self, processes: Processes, name: str, *arguments: str) -> None:
        command = [sys.executable, "-m", "host.keep_alive", sys.executable, "-m", "airflow", *arguments]
        processes.start(name, command, self.variables(name), cwd=REPOSITORY)

    def _answers(self, path: str) -> bool:
        try:
            return httpx.get(f"{self.url}{path}", timeout=30).status_code < 400
        except httpx.HTTPError:
            return False

    def _secret(self) -> str:
        path = self.home / "jwt-secret"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(32))
        return path.read_text()
