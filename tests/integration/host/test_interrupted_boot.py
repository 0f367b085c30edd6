import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from host.processes import MARK

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_boot_that_is_interrupted_leaves_no_process(tmp_path, number):
    boot = subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-u", "-m", "host", "up", "--free-ports"],
        cwd=REPOSITORY, env={**os.environ, "RECFLOW_HOME": str(tmp_path)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    while "gateway" not in boot.stdout.readline():
        assert boot.poll() is None
    boot.send_signal(number)
    boot.communicate(timeout=60)
    assert boot.returncode != 0
    assert list((tmp_path / "run").glob("*.json")) == []
    assert [process for process in psutil.process_iter() if mark_of(process).startswith(str(tmp_path))] == []


def mark_of(process: psutil.Process) -> str:
    try:
        return process.environ().get(MARK, "")
    except psutil.Error:
        return ""
