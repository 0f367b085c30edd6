"""Runs one job for `launcher.py`, which starts this file as a script; standard library and psutil only.

    job_runner.py job FOLDER LOCK        leave the caller, say who runs, run spec.json's command, write its exit code
    job_runner.py rank FOLDER COMMAND…   one rank of a gang: the first one that fails says why the gang failed

The exit code is written by this process and not by whoever started it, so a caller that died can meet the job again.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

import psutil

GRACE_S = 20.0
TOO_LONG = 124  # as `recflow.errors.JobTooLong`


def _leave_caller(folder: Path, lock: int) -> None:
    """Go on as an orphan in a session of its own; the caller's process ends once it is recorded who runs."""
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    os.setsid()
    record = {"pid": os.getpid(), "started": psutil.Process().create_time()}
    _write(folder / "process.json", json.dumps(record))
    os.close(lock)
    os.close(writer)


def _run(command: list[str], timeout_s: float | None) -> int:
    """The command's exit code, negative when a signal ended it, TOO_LONG when its time did. SIGTERM is handed on."""
    asked: list[int] = []
    children: list[subprocess.Popen[bytes]] = []

    def hand_on(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        for started in children:
            started.terminate()

    signal.signal(signal.SIGTERM, hand_on)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    children.append(child)
    if asked:
        child.terminate()
    try:
        return child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        _end(child)
        # The last line of the log is the first that is read.
        print(f"recflow: the job was ended because it ran longer than {timeout_s:,.0f} s", flush=True)  # noqa: T201
        return TOO_LONG


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask the command and all that it started to end, then make them: ranks outlive a torchrun that is killed."""
    family = psutil.Process().children(recursive=True)
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(family, GRACE_S)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    child.wait()


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def _job(folder: Path, lock: int) -> None:
    spec = json.loads((folder / "spec.json").read_text())
    _leave_caller(folder, lock)
    try:
        code = _run(spec["command"], spec["timeout_s"])
    except OSError as error:
        print(f"recflow: the command cannot be started: {error}", flush=True)  # noqa: T201
        code = 127
    first = folder / "rank_exit"
    if code not in (0, TOO_LONG) and first.exists():
        code = int(first.read_text())
    _write(folder / "exit_code", str(code))


def _rank(folder: Path, command: list[str]) -> int:
    code = _run(command, None)
    if code:
        try:
            with (folder / "rank_exit").open("x") as stream:
                stream.write(str(code))
        except FileExistsError:
            return 1
    return 1 if code else 0


if __name__ == "__main__":
    if sys.argv[1] == "rank":
        sys.exit(_rank(Path(sys.argv[2]), sys.argv[3:]))
    _job(Path(sys.argv[2]), int(sys.argv[3]))
