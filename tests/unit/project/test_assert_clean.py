"""bin/assert-clean can fail: it sees what a run leaves behind, and only what that run leaves behind."""

import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "bin" / "assert-clean"


@pytest.fixture
def token() -> str:
    return subprocess.run([sys.executable, SCRIPT, "start"], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def sleeper(token: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"], env={**os.environ, "RECFLOW_RUN": token})
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def shared_memory(token: str) -> Iterator[Path]:
    entry = Path("/dev/shm") / f"recflow-test-{token}"
    entry.write_bytes(b"left")
    yield entry
    entry.unlink()


@pytest.fixture
def look() -> dict:
    return runpy.run_path(str(SCRIPT))


def test_a_process_of_the_run_that_still_lives_is_found(look, token, sleeper):
    assert look["leftover_processes"](token) == [sleeper.pid]


def test_a_process_of_another_run_is_not_ours(look, token, sleeper):
    assert look["leftover_processes"]("1" + token) == []


def test_a_process_that_ended_is_not_left_behind(look, token, sleeper):
    sleeper.kill()
    assert look["leftover_processes"](token) == []


def test_the_age_of_a_process_is_read_to_the_second(look, token, sleeper):
    started = look["started_at"](token)
    assert started - 1 < look["born"](sleeper.pid) < started + 10


def test_shared_memory_that_nobody_maps_is_found(look, token, shared_memory):
    assert shared_memory in look["leftover_entries"](token)


def test_the_check_fails_and_names_the_process(look, token, sleeper, monkeypatch, capsys):
    monkeypatch.setitem(look["check"].__globals__, "GRACE_S", 0.0)
    assert look["check"](token) == 1
    assert f"process {sleeper.pid}: sleep 60" in capsys.readouterr().out
