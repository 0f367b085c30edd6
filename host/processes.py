"""Long-lived processes of this host: each in a group of its own, known by pid and start time, ended by group."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from recflow.errors import BadConfiguration, ServerUnavailable

STOP_TIMEOUT_S = 25.0


@dataclass(frozen=True)
class Processes:
    """The processes that were started below a folder; the folder outlives the caller, so another can end them."""

    folder: Path

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], *, cwd: Path) -> None:
        """Start a command in a session of its own, its output in `<folder>/<name>.log`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=dict(environment), cwd=cwd, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        record = {"pid": process.pid, "started": psutil.Process(process.pid).create_time()}
        (self.folder / f"{name}.json").write_text(json.dumps(record))

    def alive(self, name: str) -> bool:
        """Whether the process that was started as `name` still runs."""
        return self._find(name) is not None

    def names(self) -> list[str]:
        """Every process that was started and not yet stopped, newest first."""
        records = sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        return [record.stem for record in records]

    def stop(self, name: str) -> None:
        """End the whole group, first politely; stopping what is gone is fine."""
        process = self._find(name)
        if process is not None:
            members = [process, *process.children(recursive=True)]
            _signal_group(process.pid, signal.SIGTERM)
            _, left = psutil.wait_procs([process], timeout=STOP_TIMEOUT_S)
            _signal_group(process.pid, signal.SIGKILL)
            for member in members if left else members[1:]:
                with suppress(psutil.NoSuchProcess):
                    member.kill()
            psutil.wait_procs(members, timeout=5)
        (self.folder / f"{name}.json").unlink(missing_ok=True)

    def log_tail(self, name: str, lines: int = 15) -> str:
        """The end of a process's log."""
        path = self.folder / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def wait(self, name: str, ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Wait until `ready`; ServerUnavailable with the end of the log when the process dies or takes too long."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.alive(name) or time.monotonic() > deadline:
                seen = self.log_tail(name)
                raise ServerUnavailable(f"{name} did not start", expected=f"ready within {timeout_s:.0f} s", seen=seen)
            time.sleep(0.2)

    def _find(self, name: str) -> psutil.Process | None:
        path = self.folder / f"{name}.json"
        if not path.exists():
            return None
        record = json.loads(path.read_text())
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(record["pid"])
            if process.create_time() == record["started"] and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None


def _signal_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def refuse_taken_port(name: str, port: int) -> None:
    """BadConfiguration when something listens on the port already."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise BadConfiguration(
                f"{name} cannot start", expected=f"port {port} free", seen="something listens there",
                action=f"end it (`make down`), or set another port for {name}",
            )  # fmt: skip


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
