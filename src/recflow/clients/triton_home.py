"""Where Triton lives on this host: its folders, its lock, and everything that must be gone when it has stopped.

All its processes and shared memory carry one prefix made from the folder's path, so that they are found again after
any crash, of the server or of its supervisor, even when no state file survived.
"""

import compileall
import contextlib
import errno
import fcntl
import os
import py_compile
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import psutil

from recflow.artifacts.digests import digest_bytes
from recflow.artifacts.frozen import Frozen
from recflow.errors import StoreFull

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the place Triton uses, not a temporary file of ours
_NEEDED = ("config.pbtxt", "1/model.py")
_INSTANCES = re.compile(r"count: (\d+)")
_FULL = tuple(map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)))


def missing_parts(package: Path) -> tuple[str, ...]:
    """The files that a package lacks and that the server would wait for without end."""
    return tuple(needed for needed in _NEEDED if not (package / needed).is_file())


class TritonState(Frozen):
    """What the supervisor last wrote. `supervisor_started` tells a process from a later one with the same id."""

    supervisor_pid: int
    supervisor_started: float
    server_pid: int
    ready: bool
    restarts: int
    grpc: str
    shared_memory_prefix: str


class TritonHome:
    """`<home>/triton`: repository/ (a model folder present is a version wanted), staging/, state.json, server.log.

    set_aside/ keeps folders that somebody put into the repository and that no server could load.
    """

    def __init__(self, home: Path) -> None:
        self.root = home.resolve() / "triton"
        self.repository = self.root / "repository"
        self.log = self.root / "server.log"
        self.prefix = f"recflow-{digest_bytes(str(self.root).encode())[:12]}-"
        self._staging = self.root / "staging"
        self._state = self.root / "state.json"

    def prepare(self) -> None:
        """Make the folders; half-installed models of an earlier crash are removed."""
        self.repository.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._staging, ignore_errors=True)

    def set_aside_incomplete(self) -> list[str]:
        """Move what lacks a part out of the repository, and give its names: the server's start would never end."""
        incomplete = [folder for folder in self.repository.iterdir() if folder.is_dir() and missing_parts(folder)]
        for folder in incomplete:
            aside = self.root / "set_aside" / f"{folder.name}-{uuid.uuid4().hex}"
            aside.parent.mkdir(exist_ok=True)
            folder.rename(aside)
        return [folder.name for folder in incomplete]

    def install(self, package: Path, name: str) -> None:
        """Copy a package into the repository, compiled: a reader sees all of it or nothing. StoreFull without space.

        What the server's Python would compile into the folder at its first load would look to Triton like a change.
        """
        self.remove(name)
        staged = self._staging / f"{name}-{uuid.uuid4().hex}"
        try:
            shutil.copytree(package, staged)
            # Checked hashes instead of times: code that somebody edits here is still compiled anew.
            compileall.compile_dir(staged, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
        except OSError as error:
            shutil.rmtree(staged, ignore_errors=True)
            # copytree gathers the errors of all files into one that keeps their texts only.
            if not any(text in str(error) for text in _FULL):
                raise
            raise StoreFull(f"{name} was not installed", expected="space on the disk", seen=str(error)) from error
        self.repository.mkdir(parents=True, exist_ok=True)
        staged.rename(self.repository / name)

    def remove(self, name: str) -> None:
        """Take a model out of the repository; removing what is absent is fine."""
        if (self.repository / name).exists():
            gone = self._staging / f"gone-{uuid.uuid4().hex}"
            gone.parent.mkdir(parents=True, exist_ok=True)
            (self.repository / name).rename(gone)
            shutil.rmtree(gone)

    @contextlib.contextmanager
    def locked(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold a lock between processes; gives whether it is held. The kernel frees it when its holder dies."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / f"{name}.lock").open("a") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def write(self, state: TritonState) -> None:
        """Replace the state file in one step."""
        fresh = self._state.with_suffix(".new")
        fresh.write_text(state.model_dump_json(indent=1), encoding="utf-8")
        fresh.rename(self._state)

    def read(self) -> TritonState | None:
        """The state, None without a living supervisor."""
        try:
            state = TritonState.model_validate_json(self._state.read_bytes())
            started = psutil.Process(state.supervisor_pid).create_time()
        except (OSError, ValueError, psutil.NoSuchProcess):
            return None
        return state if started == state.supervisor_started else None

    def processes(self) -> list[psutil.Process]:
        """Triton's server and model processes of this home, whoever started them."""
        return [process for process in psutil.process_iter() if any(self.prefix in part for part in _command(process))]

    def stubs(self) -> dict[str, list[psutil.Process]]:
        """The living processes of every model that has any, by model name."""
        models, found = f"{self.repository}/", dict[str, list[psutil.Process]]()
        for process in self.processes():
            for part in _command(process):
                if part.startswith(models):
                    found.setdefault(part.removeprefix(models).split("/")[0], []).append(process)
        return found

    def instances(self, name: str) -> int:
        """How many processes a model of the repository should have; 0 for one that is not there."""
        try:
            found = _INSTANCES.search((self.repository / name / "config.pbtxt").read_text(encoding="utf-8"))
        except OSError:
            return 0
        return int(found[1]) if found else 1

    def sweep(self) -> None:
        """Kill what is left of an earlier server and free its shared memory."""
        left = self.processes()
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=10)
        for segment in _SHARED_MEMORY.glob(f"{self.prefix}*"):
            segment.unlink(missing_ok=True)

    def fresh_log(self) -> BinaryIO:
        """An empty server.log; the last server's words are kept beside it as server.log.1."""
        with contextlib.suppress(FileNotFoundError):
            self.log.replace(self.root / "server.log.1")
        return self.log.open("wb")

    def log_tail(self, characters: int = 500) -> str:
        """The end of the server's log."""
        try:
            with self.log.open("rb") as stream:
                stream.seek(max(0, os.fstat(stream.fileno()).st_size - characters))
                return stream.read().decode(errors="replace")
        except OSError:
            return "no log"


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []
