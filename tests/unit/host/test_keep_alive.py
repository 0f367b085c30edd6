import os
import signal
import sys
from pathlib import Path

import pytest

from host.processes import Processes

# Writes its pid into a file of its own for each start, and lives on.
SERVER = """
import os, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
(folder / str(len(list(folder.iterdir())))).write_text(str(os.getpid()))
time.sleep(60)
"""
KEEP = "from host.keep_alive import keep_alive; import sys; sys.exit(keep_alive(sys.argv[1:], boot_s={}))"


@pytest.fixture
def processes(tmp_path):
    processes = Processes(tmp_path / "run")
    yield processes
    processes.stop(*processes.names())


def start(processes, tmp_path, *, boot_s: float) -> Path:
    """A server that is kept alive; the folder that shows its starts."""
    starts = tmp_path / "starts"
    starts.mkdir()
    command = [sys.executable, "-c", KEEP.format(boot_s), sys.executable, "-c", SERVER, str(starts)]
    processes.start("server", command, os.environ, cwd=Path(__file__).resolve().parents[3])
    processes.wait("server", lambda: pid_of(starts, 0), timeout_s=30)
    return starts


def pid_of(starts: Path, number: int) -> int:
    path = starts / str(number)
    return int(path.read_text() or 0) if path.exists() else 0


def test_a_server_that_dies_is_started_again(processes, tmp_path):
    starts = start(processes, tmp_path, boot_s=0)
    os.kill(pid_of(starts, 0), signal.SIGKILL)
    processes.wait("server", lambda: pid_of(starts, 1), timeout_s=30)
    assert "ended with -9; started again" in processes.log_tail("server")


def test_a_server_that_dies_while_it_boots_is_not_started_again(processes, tmp_path):
    starts = start(processes, tmp_path, boot_s=600)
    os.kill(pid_of(starts, 0), signal.SIGKILL)
    while processes.alive("server"):
        pass
    assert pid_of(starts, 1) == 0


def test_stopping_ends_keeper_and_server_for_good(processes, tmp_path):
    starts = start(processes, tmp_path, boot_s=0)
    processes.stop("server")
    assert not processes.alive("server")
    assert pid_of(starts, 1) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid_of(starts, 0), 0)
