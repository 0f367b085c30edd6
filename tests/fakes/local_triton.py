"""A real Triton for tests: `recflow triton up` in a process of its own, on free ports, below a folder of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from host.processes import free_ports
from recflow.clients.triton_home import TritonHome
from recflow.config.settings import Settings

REPOSITORY = Path(__file__).resolve().parent.parent.parent


class LocalTriton:
    """A supervised server; `settings` is what clients need, `environment` what child processes need."""

    def __init__(self, folder: Path) -> None:
        self.environment = {
            "RECFLOW_HOME": str(folder),
            "RECFLOW_TRITON_RUNTIME": str(REPOSITORY / ".venv-triton"),
            **{
                f"RECFLOW_TRITON_{name}": f"127.0.0.1:{port}"
                for name, port in zip(("GRPC", "HTTP", "METRICS"), free_ports(3), strict=True)
            },
        }
        fields = {name.removeprefix("RECFLOW_").lower(): value for name, value in self.environment.items()}
        self.settings = Settings.model_validate(fields)
        self.home = TritonHome(self.settings.home)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `recflow triton …` to its end."""
        command = [sys.executable, "-m", "recflow.cli.main", "triton", *arguments]
        environment = os.environ | self.environment | {"PYTHONPATH": str(REPOSITORY / "src")}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)

    def up(self) -> None:
        ended = self.command("up", "--detach")
        assert ended.returncode == 0, ended.stderr + self.home.log_tail(2000)

    def down(self) -> None:
        assert self.command("down").returncode == 0
        assert self.leftovers() == []

    def leftovers(self) -> list[str]:
        """Processes and shared memory that carry this server's prefix."""
        processes = [str(process) for process in self.home.processes()]
        return processes + [path.name for path in Path("/dev/shm").glob(f"{self.home.prefix}*")]

    def kill_supervisor(self) -> None:
        if state := self.home.read():
            supervisor = psutil.Process(state.supervisor_pid)
            supervisor.kill()
            psutil.wait_procs([supervisor], timeout=10)

    def kill_server(self) -> None:
        os.kill(self.home.read().server_pid, signal.SIGKILL)

    def kill_stub(self, model: str) -> None:
        script = f"{self.home.repository}/{model}/1/model.py"
        for process in self.home.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if script in process.cmdline():
                    process.kill()

    def wait_until(self, claim: Callable[[], bool], timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        while not claim():
            assert time.monotonic() < deadline, f"not within {timeout_s} s; server log: {self.home.log_tail(2000)}"
            time.sleep(0.1)


@contextlib.contextmanager
def running_triton(folder: Path) -> Iterator[LocalTriton]:
    """A server that is up, and gone without trace afterwards."""
    triton = LocalTriton(folder)
    triton.up()
    try:
        yield triton
    finally:
        triton.down()
