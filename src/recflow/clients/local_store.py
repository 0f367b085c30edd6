"""The embedded object store: a folder of this host."""

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from recflow.errors import BadConfiguration, PermanentError, StoreFull, StoreUnavailable

INCOMING = ".incoming"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_ABSENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


class LocalStore:
    """Objects as files below `root`.

    An object is written to `.incoming`, synced to disk, and then given its name in one step: `link` for the first
    writer only, `replace` otherwise. What a killed writer leaves in `.incoming` is no object.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root.resolve()

    @property
    def root(self) -> str:
        """The folder as a file:// URI."""
        return self._folder.as_uri()

    def put(self, key: str, data: bytes | Path, *, if_absent: bool = False) -> bool:
        """Store bytes or a file; see ObjectStore."""
        target = self._path(key)
        source = data.open("rb") if isinstance(data, Path) else BytesIO(data)
        with source, _translated(f"{self.root}/{key}"):
            if if_absent and target.exists():
                return False
            return self._write(source, target, if_absent)

    def _write(self, source: BinaryIO, target: Path, if_absent: bool) -> bool:
        temporary = self._folder / INCOMING / uuid.uuid4().hex
        temporary.parent.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as stream:
                shutil.copyfileobj(source, stream, 1 << 20)
                stream.flush()
                os.fsync(stream.fileno())
            if if_absent:
                os.link(temporary, target)
            else:
                temporary.replace(target)
            _sync_folder(target.parent)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def get(self, key: str) -> bytes | None:
        """The whole object, None when it does not exist."""
        with _translated(f"{self.root}/{key}"):
            try:
                return self._path(key).read_bytes()
            except _ABSENT:
                return None

    def download(self, key: str, target: Path) -> bool:
        """Copy an object into a file; False when it does not exist."""
        with _translated(f"{self.root}/{key}"):
            try:
                shutil.copyfile(self._path(key), target)
            except _ABSENT:
                if self._path(key).is_file():
                    raise
                return False
            return True

    def list(self, prefix: str, *, limit: int | None = None) -> list[str]:
        """Keys that start with `prefix`, in ascending order, at most `limit`."""
        with _translated(f"{self.root}/{prefix}"):
            return list(islice(self._walk(prefix.rpartition("/")[0], prefix), limit))

    def _walk(self, folder: str, prefix: str) -> Iterator[str]:
        """Keys below a folder; a folder sorts as `name/`, which is where S3 sorts its keys."""
        try:
            entries = list(os.scandir(self._folder / folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        start = f"{folder}/" if folder else ""
        names = (f"{start}{entry.name}/" if entry.is_dir() else f"{start}{entry.name}" for entry in entries)
        for name in sorted(names):
            if name == f"{INCOMING}/" or not name.startswith(prefix[: len(name)]):
                continue
            if name.endswith("/"):
                yield from self._walk(name[:-1], prefix)
            elif name.startswith(prefix):
                yield name

    def delete(self, key: str) -> None:
        """Remove an object; removing what is absent is fine."""
        with _translated(f"{self.root}/{key}"):
            try:
                self._path(key).unlink()
            except _ABSENT:
                return

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if "\x00" in key or parts[0] == INCOMING or any(part in {"", ".", ".."} for part in parts):
            raise PermanentError(f"key {key!r} is no name of an object", expected="name/name/…", seen=repr(key))
        path = self._folder.joinpath(*parts)
        if not path.parent.resolve().is_relative_to(self._folder):
            raise PermanentError(
                f"key {key!r} leaves the store", expected=f"below {self._folder}", seen=str(path.parent)
            )
        return path


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(f"{what} was not stored", expected="free space", seen=str(error)) from error
        if error.errno in _REFUSED:
            raise BadConfiguration(f"{what} is not accessible", expected="read and write", seen=str(error)) from error
        raise StoreUnavailable(f"{what} was not reached", expected="an answer", seen=str(error)) from error
