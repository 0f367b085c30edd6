"""Heavy stages as processes of this host, several ranks through torchrun.

A job's folder holds its `spec.json`, `process.json` (pid and start time), `log.txt` and, once it has ended,
`exit_code`; nothing of it lives in the caller's memory. A lock on the folder makes submit, poll and cancel of several
callers follow one another.
"""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from recflow.clients import job_runner
from recflow.errors import BadConfiguration
from recflow.protocols import JobSpec, JobState, JobStatus

_RUNNER = (sys.executable, "-P", str(Path(job_runner.__file__).resolve()))
_MARK = "RECFLOW_JOB_FOLDER"
_TAIL_BYTES = 4096


class ProcessLauncher:
    """Runs jobs below `folder`, each in a session of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def submit(self, spec: JobSpec) -> None:
        """Start the job unless it is running; what a lost job left behind is ended first."""
        job = self._job(spec.name)
        job.mkdir(parents=True, exist_ok=True)
        with _locked(job) as lock:
            if _state(job) is JobState.RUNNING:
                return
            _end(job)
            for name in ("exit_code", "rank_exit", "process.json"):
                (job / name).unlink(missing_ok=True)
            command = _ranks(spec, job) if spec.processes > 1 else spec.command
            (job / "spec.json").write_text(json.dumps({"command": command, "timeout_s": spec.timeout_s}))
            with (job / "log.txt").open("ab") as log:
                subprocess.run(
                    [*_RUNNER, "job", str(job), str(lock)],
                    check=True,
                    env={**os.environ, **spec.environment, _MARK: str(job)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=(lock,),
                )

    def poll(self, name: str) -> JobStatus:
        """How the job stands; waits only while another caller is starting it."""
        job = self._job(name)
        if not job.is_dir():
            return JobStatus(JobState.UNKNOWN)
        with _locked(job):
            state = _state(job)
            code = int((job / "exit_code").read_text()) if state is JobState.ENDED else None
        return JobStatus(state, code, _tail(job / "log.txt"))

    def cancel(self, name: str) -> None:
        """Ask every process of the job to end, then make it; ending what is not running is fine."""
        job = self._job(name)
        if not job.is_dir():
            return
        with _locked(job):
            if _state(job) is JobState.RUNNING:
                _end(job)
                if _state(job) is JobState.LOST:
                    (job / "exit_code").write_text(str(-signal.SIGTERM))

    def _job(self, name: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", name):
            raise BadConfiguration(f"{name!r} is no name of a job", expected="letters, digits, . _ -", seen=repr(name))
        return self._folder / name


def _ranks(spec: JobSpec, job: Path) -> tuple[str, ...]:
    """The command under torchrun, which sets RANK and WORLD_SIZE and ends all ranks when one fails."""
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python")
    return (*torchrun, "--nproc-per-node", str(spec.processes), *_RUNNER, "rank", str(job), *spec.command)


def _state(job: Path) -> JobState:
    if (job / "exit_code").exists():
        return JobState.ENDED
    try:
        record = json.loads((job / "process.json").read_text())
    except FileNotFoundError:
        return JobState.LOST if (job / "spec.json").exists() else JobState.UNKNOWN
    try:
        process = psutil.Process(record["pid"])
        # A pid is used again after a while, or after a restart of the host. Start times move a little with the clock.
        same = abs(process.create_time() - record["started"]) < 5 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        same = False
    return JobState.RUNNING if same else JobState.LOST


def _processes(job: Path) -> list[psutil.Process]:
    """Every process of the job, found by its environment: ranks have sessions of their own and may be orphans."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MARK) == str(job):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _end(job: Path) -> None:
    while processes := _processes(job):
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in processes:
                _send(process, number)
            processes = psutil.wait_procs(processes, timeout=job_runner.GRACE_S)[1]


def _send(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _tail(log: Path) -> str:
    if not log.exists():
        return ""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        return stream.read().decode("utf-8", errors="replace")


@contextmanager
def _locked(job: Path) -> Iterator[int]:
    """Hold the job's lock; the runner inherits it until it has said who it is, so a killed caller leaves no gap."""
    lock = os.open(job / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)
