"""A demo as a user starts it, and what it has said."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from host.airflow import REPOSITORY
from host.processes import Processes
from host.stack import Stack

TIMEOUT_S = 2400


@dataclass(frozen=True)
class Played:
    """The home folder of a demo that runs on, and all that it has said."""

    home: Path
    said: str

    def table(self, title: str) -> list[list[str]]:
        """The rows of a table as it was shown; a cell that goes over several lines gives several rows."""
        rows = self.said.partition(title)[2].partition("└")[0].splitlines()
        return [[cell.strip() for cell in row.strip("│").split("│")] for row in rows if row.startswith("│")]

    def column(self, title: str, number: int) -> list[str]:
        """A column of a table, without the empty cells of long rows."""
        return [row[number] for row in self.table(title) if row[number]]

    def addresses(self) -> dict[str, str]:
        """What is open to be looked at."""
        return dict(re.findall(r" (Airflow|MLflow|gateway|Data Docs) +(\S+://\S+)", self.said))


@contextmanager
def detached_demo(folder: Path, *arguments: str) -> Iterator[Played]:
    """A detached demo, ended by what `make down` calls; what it said can be read in `said.txt` beside its home."""
    home = folder / "home"
    command = [sys.executable, "-m", "demo", "--detach", "--free-ports", "--home", str(home), *arguments]
    try:
        ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        home.with_name("said.txt").write_text(ended.stdout + ended.stderr, encoding="utf-8")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        yield Played(home, ended.stdout)
    finally:
        Stack(home).stop()
    assert Processes(home / "run").names() == []
