"""The whole of recflow on one host, in the order in which each part needs the one before it."""

import os
import re
import secrets
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import httpx

from host.airflow import REPOSITORY, AirflowHost
from host.processes import Processes, free_ports, refuse_taken_ports
from recflow.clients.triton_home import TritonHome
from recflow.config.settings import Settings
from recflow.errors import BadConfiguration

DEMO_HOME = REPOSITORY / ".home" / "demo"
_LOOPBACK = re.compile(r"(?:http://)?(?:127\.0\.0\.1|localhost):(\d+)/?")


@dataclass(frozen=True)
class Ports:
    """The loopback ports of the parts."""

    airflow: int = 8080
    gateway: int = 8088
    mlflow: int = 5000
    triton_http: int = 8000
    triton_grpc: int = 8001
    triton_metrics: int = 8002

    @classmethod
    def free(cls) -> "Ports":
        """Ports that nobody uses now, for tests that run beside other things."""
        return cls(*free_ports(6))

    @classmethod
    def of(cls, settings: Settings) -> "Ports":
        """The ports of the settings' addresses; BadConfiguration for one beyond loopback, where nothing is started."""
        return cls(
            gateway=_port("GATEWAY_URL", settings.gateway_url),
            triton_http=_port("TRITON_HTTP", settings.triton_http),
            triton_grpc=_port("TRITON_GRPC", settings.triton_grpc),
            triton_metrics=_port("TRITON_METRICS", settings.triton_metrics),
        )


def _port(setting: str, address: str) -> int:
    found = _LOOPBACK.fullmatch(address)
    if found is None:
        raise BadConfiguration(
            f"recflow cannot be started at RECFLOW_{setting}", expected="127.0.0.1:port", seen=address,
            action="name a port on loopback; beyond it start the parts one by one, as docker-compose.yaml does",
        )  # fmt: skip
    return int(found[1])


@dataclass(frozen=True)
class Stack:
    """One installation below `home`: its ports, its recipes, and where its events come from.

    Without `keys` its gateway signs request ids by a key of its own, made at the first start.
    """

    home: Path
    recipes: Path = REPOSITORY / "recipes"
    source_root: Path = REPOSITORY
    ports: Ports = field(default_factory=Ports)
    runtime: Path = REPOSITORY / ".venv-triton"
    keys: Path | None = None

    @property
    def processes(self) -> Processes:
        """What runs, recorded below the home folder."""
        return Processes(self.home / "run")

    @cached_property
    def airflow(self) -> AirflowHost:
        """The Airflow of this installation."""
        return AirflowHost(self.home / "airflow", self.ports.airflow, self.environment())

    @property
    def gateway_url(self) -> str:
        """Where the gateway answers."""
        return f"http://127.0.0.1:{self.ports.gateway}"

    @property
    def keys_file(self) -> Path:
        """The keys that the gateway signs request ids by."""
        return self.keys or self.home / "gateway" / "keys"

    def environment(self) -> dict[str, str]:
        """What every process of this installation sees, beside its own environment."""
        home = self.home.resolve()
        return {
            "RECFLOW_HOME": str(home),
            "RECFLOW_RECIPES": str(self.recipes.resolve()),
            "RECFLOW_SOURCE_ROOT": str(self.source_root.resolve()),
            "RECFLOW_TRITON_RUNTIME": str(self.runtime.resolve()),
            "RECFLOW_TRITON_HTTP": f"127.0.0.1:{self.ports.triton_http}",
            "RECFLOW_TRITON_GRPC": f"127.0.0.1:{self.ports.triton_grpc}",
            "RECFLOW_TRITON_METRICS": f"127.0.0.1:{self.ports.triton_metrics}",
            "RECFLOW_GATEWAY_URL": self.gateway_url,
            "RECFLOW_GATEWAY_KEYS_FILE": str(self.keys_file.resolve()),
        }

    def check(self) -> None:
        """BadConfiguration when this installation runs already or a port is taken."""
        if running := [name for name in self.processes.names() if self.processes.alive(name)]:
            raise BadConfiguration(
                f"recflow is up already in {self.home}", expected="nothing running", seen=", ".join(running),
                action="use what runs, or end it first: make down",
            )  # fmt: skip
        refuse_taken_ports(asdict(self.ports))

    def start(self, say: Callable[[str], None] = print) -> None:
        """Start Triton, gateway and Airflow; what was started before an error, or Ctrl-C, is ended.

        Raises what `check` raises, and touches nothing then.
        """
        self.check()
        try:
            say("Triton")
            self.start_command("triton", ["triton", "up"], f"http://127.0.0.1:{self.ports.triton_http}/v2/health/live")
            say("gateway")
            self._make_key()
            self.start_command("gateway", ["gateway", "up"], f"{self.gateway_url}/healthz")
            say("Airflow")
            self.airflow.start(self.processes)
        except BaseException:
            self.stop()
            raise

    def _make_key(self) -> None:
        path = self.keys_file
        if self.keys is None and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(f"{secrets.token_hex(32)}\n")

    def start_command(self, name: str, arguments: list[str], health: str) -> None:
        """Start a `recflow` command, keep it alive, and wait until its health address answers."""
        command = [sys.executable, "-m", "host.keep_alive", sys.executable, "-m", "recflow.cli.main", *arguments]
        self.processes.start(name, command, {**os.environ, **self.environment()}, cwd=REPOSITORY)
        self.processes.wait(name, lambda: answers(health), timeout_s=60)

    def start_mlflow(self) -> None:
        """Start MLflow's web page over the tracking store; it takes half a minute and is not waited for."""
        store = f"sqlite:///{self.home.resolve() / 'mlflow' / 'mlflow.db'}"
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"]
        command += ["--port", str(self.ports.mlflow), "--backend-store-uri", store]
        # Its job runner, which nothing here uses, would leave queues in shared memory when the server ends.
        environment = {**os.environ, **self.environment(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.processes.start("mlflow", command, environment, cwd=REPOSITORY)

    def stop(self) -> None:
        """End every process of this installation, jobs and a Triton started by hand included; twice is fine."""
        from recflow.clients.triton_process import stop_triton

        self.processes.stop(*self.processes.names())
        stop_triton(TritonHome(self.home))


def answers(url: str) -> bool:
    """Whether an address answers with a good status now."""
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False
