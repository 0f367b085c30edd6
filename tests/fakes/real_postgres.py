"""A real PostgreSQL server on this host for a test session: Debian's, on a socket in a folder of its own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def find_postgres() -> Path | None:
    """The folder of the server's programs; None where there is none."""
    folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    on_path = shutil.which("pg_ctl")
    candidates = [*folders, *([Path(on_path).resolve().parent] if on_path else [])]
    return next((folder for folder in candidates if (folder / "initdb").is_file()), None)


@contextmanager
def running_postgres(folder: Path, programs: Path) -> Iterator["Postgres"]:
    """A new cluster below `folder` that listens on a socket only and trusts this host's users."""
    server = Postgres(folder, programs)
    server.run("initdb", "-D", str(server.data), "-U", "shop", "--auth=trust", "--no-sync")
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Postgres:
    """One cluster; the server refuses to run as root, who lets Debian's user postgres run it."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self.data, self._programs = folder, folder / "data", programs
        self._as: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
            self._as = ["runuser", "-u", "postgres", "--"]

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://shop@/postgres?host={self.folder}"

    def run(self, program: str, *options: str) -> None:
        command = [*self._as, str(self._programs / program), *options]
        subprocess.run(command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def start(self) -> None:
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c fsync=off"
        self.run("pg_ctl", "-D", str(self.data), "-l", str(self.folder / "log"), "-w", "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", str(self.data), "-w", "-m", "immediate", "stop")
