"""Long-lived processes of this host: each in a session of its own, known by pid and start time, ended without a trace.

Every process carries a mark in its environment and hands it down. What a group does not hold together (workers that
made sessions of their own, jobs that outlive their caller, children of a killed parent) is found by that mark.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from host.own_process import uninterrupted
from recflow.errors import BadConfiguration, ServerUnavailable

MARK = "RECFLOW_HOST_PROCESS"
STOP_TIMEOUT_S = 25.0
# Dropping the handle of a process that still runs would be reported as a leak.
_HANDLES: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Processes:
    """The processes that were started below a folder; the folder outlives the caller, so another can end them."""

    folder: Path

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], *, cwd: Path) -> None:
        """Start a command in a session of its own, its output in `<folder>/<name>.log`; from the main thread."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with uninterrupted():  # between its start and its record nobody could end it
            process = self._start(name, command, environment, cwd)
            _HANDLES.append(process)
            record = {"pid": process.pid, "started": psutil.Process(process.pid).create_time()}
            (self.folder / f"{name}.json").write_text(json.dumps(record))

    def _start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], cwd: Path
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, env={**environment, MARK: self._mark(name)}, cwd=cwd, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def run(self, name: str, command: Sequence[str], environment: Mapping[str, str], *, cwd: Path) -> None:
        """Run a command to its end; BadConfiguration with the end of its output when it fails."""
        self.start(name, command, environment, cwd=cwd)
        try:
            code = _HANDLES[-1].wait()
        finally:
            self.stop(name)
        if code:
            raise BadConfiguration(f"{name} failed", expected="exit code 0", seen=f"{code}: {self.log_tail(name)}")

    def pid(self, name: str) -> int | None:
        """The pid of the process that was started as `name`, None when it does not run."""
        process = self._find(name)
        return process.pid if process else None

    def alive(self, name: str) -> bool:
        """Whether the process that was started as `name` still runs."""
        return self._find(name) is not None

    def names(self) -> list[str]:
        """Every process that was started and not yet stopped, newest first."""
        records = sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        return [record.stem for record in records]

    def stop(self, *names: str) -> None:
        """End processes and all that descends from them, at once and first politely; stopping what is gone is fine."""
        leaders = [process for name in names if (process := self._find(name))]
        for leader in leaders:
            with suppress(ProcessLookupError):
                os.killpg(leader.pid, signal.SIGTERM)
        psutil.wait_procs(leaders, timeout=STOP_TIMEOUT_S)
        # A worker that renames itself overwrites its environment, and with it the mark; its group still has it.
        for leader in leaders:
            with suppress(ProcessLookupError):
                os.killpg(leader.pid, signal.SIGKILL)
        psutil.wait_procs(leaders, timeout=STOP_TIMEOUT_S)
        _kill_marked({self._mark(name) for name in names})
        _HANDLES[:] = [handle for handle in _HANDLES if handle.poll() is None]
        for name in names:
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

    def _mark(self, name: str) -> str:
        return str(self.folder.resolve() / name)

    def _find(self, name: str) -> psutil.Process | None:
        path = self.folder / f"{name}.json"
        if not path.exists():
            return None
        record = json.loads(path.read_text())
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(record["pid"])
            # A pid is used again after a while; start times move a little with the clock.
            same = abs(process.create_time() - record["started"]) < 2
            if same and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None


def _kill_marked(marks: set[str]) -> None:
    """Kill what carries a mark until nothing does: a process may fork while it is looked for."""
    while left := list(_marked(marks)):
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=5)


def _marked(marks: set[str]) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) in marks and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def refuse_taken_ports(ports: Mapping[str, int]) -> None:
    """BadConfiguration that names the ports on which something listens already."""
    taken = [f"{port} ({name})" for name, port in ports.items() if _listens(port)]
    if taken:
        raise BadConfiguration(
            "recflow cannot start here", expected=f"free ports {', '.join(map(str, ports.values()))}",
            seen=f"something listens on {', '.join(taken)}",
            action="end what listens there (`make down`, if it is another recflow), or give ARGS=--free-ports to make",
        )  # fmt: skip


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(number: int) -> list[int]:
    """Different ports that nothing listens on at this moment."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
