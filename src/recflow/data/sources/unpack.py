"""The files inside what was delivered: plain, gzip, zip and tar, never more of them than the recipe allows."""

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from recflow.errors import BadData

_GB = 10**9
_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile, tarfile.TarError, NotImplementedError)


class Allowance:
    """How many unpacked bytes a delivery may still have."""

    def __init__(self, gigabytes: float) -> None:
        self._gigabytes, self._left = gigabytes, gigabytes * _GB

    def take(self, size: int) -> None:
        """Count bytes; BadData when they are too many."""
        self._left -= size
        if self._left < 0:
            raise BadData(
                "the day's files unpack to more than they may",
                expected=f"at most {self._gigabytes:g} GB",
                seen="more: the rest was not read",
                action="look at the archive; if the day is real, raise data.source.max_unpacked_gb",
            )


class Member:
    """One file's bytes, counted as they are read."""

    def __init__(self, name: str, stream: IO[bytes], allowance: Allowance) -> None:
        self.name, self._stream, self._allowance = name, stream, allowance

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`."""
        data = self._stream.read(size)
        self._allowance.take(len(data))
        return data


def members(path: Path, name: str, allowance: Allowance) -> Iterator[Member]:
    """The files in a delivered file, a zip's in the order of their names. Read them in `broken_is_bad_data`."""
    for inner, stream in _opened(path, name):
        yield Member(inner, stream, allowance)


def _opened(path: Path, name: str) -> Iterator[tuple[str, IO[bytes]]]:
    if name.endswith(".zip"):
        with zipfile.ZipFile(path) as zipped:
            for inner in sorted(zipped.namelist()):
                if not inner.endswith("/"):
                    with zipped.open(inner) as stream:
                        yield f"{name}/{inner}", stream
    elif name.endswith((".tar", ".tar.gz", ".tgz")):
        with tarfile.open(path) as archive:
            for entry in archive:
                found = archive.extractfile(entry) if entry.isfile() else None
                if found is not None:
                    yield f"{name}/{entry.name}", found
    elif name.endswith(".gz"):
        with gzip.open(path) as unzipped:
            yield name, cast(IO[bytes], unzipped)
    else:
        with path.open("rb") as plain:
            yield name, plain


@contextmanager
def broken_is_bad_data(name: str) -> Iterator[None]:
    """BadData in place of what the standard library raises for archives that are cut, broken or encrypted."""
    try:
        yield
    except _BROKEN as error:
        raise BadData(f"{name} is cut or broken", expected="a whole archive", seen=str(error)[:200]) from error
    except RuntimeError as error:  # zipfile's word for an encrypted member
        if "password" not in str(error) and "encrypted" not in str(error):
            raise
        raise BadData(f"{name} is encrypted", expected="an archive without a password", seen=str(error)) from error
