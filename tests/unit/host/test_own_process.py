import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from host.own_process import forget_settings
from recflow.config.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[3]
WAIT = "import time; from host.own_process import {0}; {0}(); print('ready', flush=True); time.sleep(60)"


def told(preparation: str, number: int, *before: str) -> subprocess.Popen[str]:
    """A process that prepared itself, then got a signal."""
    command = [*before, sys.executable, "-c", WAIT.format(preparation)]
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    return process


def test_no_setting_of_the_shell_is_left_and_everything_else_is(monkeypatch):
    for field in Settings.model_fields:
        monkeypatch.setenv(f"RECFLOW_{field.upper()}", "real")
    monkeypatch.setenv("recflow_store", "read in any case")
    kept = {"RECFLOW_DATA": "data", "RECFLOW_REQUIRE_DATA": "1", "RECFLOW_RUN": "token"}
    for name, value in kept.items():
        monkeypatch.setenv(name, value)
    forget_settings()
    left = {name: value for name, value in os.environ.items() if name.lower().startswith("recflow_")}
    assert left == kept


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_process_that_is_told_to_end_ends_as_by_ctrl_c(number):
    _, errors = told("end_like_ctrl_c", number, "env", "--default-signal=HUP").communicate(timeout=30)
    assert "KeyboardInterrupt" in errors


@pytest.mark.parametrize(
    ("preparation", "number"),
    [("end_like_ctrl_c", signal.SIGHUP), ("end_undisturbed", signal.SIGINT), ("end_undisturbed", signal.SIGTERM)],
)
def test_what_is_ignored_stays_ignored(preparation, number):
    process = told(preparation, number, "nohup")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.kill()
    process.communicate()


def test_a_test_run_that_is_told_to_end_runs_its_teardowns():
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
