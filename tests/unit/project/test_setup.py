"""Which environments bin/setup keeps and which it makes anew; the interpreters here are scripts that say so."""

import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
NEW_VENV = 'source <(grep -v "^main " "$0"); new_venv .venv'


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "bin").mkdir()
    shutil.copy(REPOSITORY / "bin" / "setup", tmp_path / "bin")
    return tmp_path


def script(path: Path, line: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return path


def is_made_anew(checkout: Path, *, made_in: Path, has_pip: bool) -> bool:
    script(checkout / ".venv/bin/python", f'case "$*" in *pip*) exit {0 if has_pip else 1};; esac')
    (checkout / ".venv/pyvenv.cfg").write_text(f"version = 3.11.7\ncommand = python3 -m venv {made_in}/.venv\n")
    python = script(checkout / "python", 'case "$*" in *venv*) touch made-anew;; esac')
    command = ["bash", "-c", NEW_VENV, str(checkout / "bin" / "setup")]
    subprocess.run(command, env={"PATH": "/usr/bin:/bin", "PYTHON": str(python)}, check=True, timeout=30)
    return (checkout / "made-anew").exists()


def test_an_environment_of_this_checkout_is_kept(checkout):
    assert not is_made_anew(checkout, made_in=checkout, has_pip=True)


def test_an_environment_without_pip_is_made_anew(checkout):
    assert is_made_anew(checkout, made_in=checkout, has_pip=False)


def test_an_environment_that_came_with_a_moved_checkout_is_made_anew(checkout):
    assert is_made_anew(checkout, made_in=checkout.parent / "before", has_pip=True)


def test_an_interpreter_that_is_exported_reaches_setup_alone():
    make = ["make", "--dry-run", "--no-print-directory", "unit"]
    told = subprocess.run(
        make, cwd=REPOSITORY, env={"PATH": "/usr/bin:/bin", "PYTHON": "elsewhere"}, capture_output=True, text=True,
        check=True, timeout=30,
    )  # fmt: skip
    setup, tests = told.stdout.splitlines()
    assert setup == "bin/setup"
    assert tests.startswith(".venv/bin/python -m pytest tests/unit ")
