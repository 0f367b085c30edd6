"""Where files lie: a folder of this host or an S3 bucket, and which of them are a day's."""

import errno
import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from string import Formatter
from urllib.parse import unquote, urlsplit

import duckdb
import pyarrow.fs as pafs

from recflow.errors import BadConfiguration, SourceUnavailable, StoreFull

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_CHUNK_BYTES = 1 << 20


class Place:
    """A folder or a bucket's prefix, given as URI. Names in it are relative paths with /.

    BadConfiguration for a folder that is not there and a URI that is none.
    """

    def __init__(self, uri: str) -> None:
        self._local = Path(unquote(urlsplit(uri).path)) if uri.startswith("file:") else None
        if self._local is not None:
            self._files, self._root = pafs.LocalFileSystem(), str(self._local)
            if not self._local.is_dir():
                raise BadConfiguration("the source is not there", expected="a folder", seen=self._root)
        else:
            try:
                self._files, self._root = pafs.FileSystem.from_uri(uri)
            except (ValueError, OSError) as error:
                raise BadConfiguration(
                    "the source's path cannot be used", expected="s3://bucket/prefix", seen=str(error)[:200]
                ) from error

    @property
    def folder(self) -> Path:
        """The folder of this host; BadConfiguration for a bucket."""
        if self._local is None:
            raise BadConfiguration("a database's url_file is read from a folder", expected="a folder", seen=self._root)
        return self._local

    def of_day(self, patterns: Sequence[str], day: str) -> list[str]:
        """The names that fit one of the patterns on a day, in order."""
        return sorted(
            {name for pattern in patterns for name in self._fitting(pattern.format(date=date.fromisoformat(day)))}
        )

    def as_of(self, patterns: Sequence[str], day: str) -> list[str]:
        """The names of the newest date that is not younger than the day, else of the oldest."""
        found: dict[str, list[str]] = {}
        for pattern in patterns:
            for name in self._fitting(_undated(pattern)):
                if (dated := _date_in(pattern, name)) is not None:
                    found.setdefault(dated, []).append(name)
        chosen = max((dated for dated in found if dated <= day), default=min(found, default=""))
        return sorted(found.get(chosen, []))

    def stamps(self, names: Sequence[str]) -> list[list[str | int | None]]:
        """Name, size in bytes and time of change in nanoseconds of each file."""
        with _answering(self._root):
            found = self._files.get_file_info([f"{self._root}/{name}" for name in names])
        return [[name, info.size, info.mtime_ns] for name, info in zip(names, found, strict=True)]

    def digest(self, name: str) -> str:
        """SHA-256 of a file."""
        return self._read(name, None)

    def copy(self, name: str, target: Path) -> str:
        """Copy a file to this host; the SHA-256 of what was copied."""
        return self._read(name, target)

    def _read(self, name: str, target: Path | None) -> str:
        digest = hashlib.sha256()
        with _answering(name), self._files.open_input_stream(f"{self._root}/{name}", compression=None) as stream:
            if target is None:
                while chunk := stream.read(_CHUNK_BYTES):
                    digest.update(chunk)
            else:
                with target.open("wb") as copy:
                    while chunk := stream.read(_CHUNK_BYTES):
                        digest.update(chunk)
                        copy.write(chunk)
        return digest.hexdigest()

    def _fitting(self, pattern: str) -> Iterator[str]:
        parts = PurePosixPath(pattern).parts
        fixed = next((n for n, part in enumerate(parts) if set(part) & set("*?[")), len(parts) - 1)
        folder, deep = "/".join((self._root, *parts[:fixed])), fixed + 1 < len(parts)
        with _answering(folder):
            listed = self._files.get_file_info(pafs.FileSelector(folder, allow_not_found=True, recursive=deep))
        for info in listed:
            name = str(info.path)[len(self._root) + 1 :]
            if info.type == pafs.FileType.File and _fits(name, parts):
                yield name


@contextmanager
def _answering(what: str) -> Iterator[None]:
    """SourceUnavailable in place of what a folder or bucket that does not answer raises; a full disk stays as it is."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        raise SourceUnavailable(f"{what} could not be read", expected="an answer", seen=str(error)[:300]) from error


@contextmanager
def full_disk_is_told() -> Iterator[None]:
    """StoreFull in place of what files and databases raise when no space is left."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise StoreFull("the day could not be copied to this host", expected="free space", seen=str(error)) from error
    except duckdb.Error as error:
        if "No space left" not in str(error):
            raise
        raise StoreFull("the day could not be written", expected="free space", seen=str(error)[:200]) from error


def _undated(pattern: str) -> str:
    """The pattern with a star for each part of its date."""
    return re.sub(r"\{date:([^}]*)\}", lambda found: "/".join("*" * (found[1].count("/") + 1)), pattern)


def _date_in(pattern: str, name: str) -> str | None:
    """The date in a name as 2011-01-04, "" where the pattern has none, None where it is no date."""
    expression, form = "", ""
    for literal, field, spec, _ in Formatter().parse(pattern):
        expression += "".join({"*": "[^/]*", "?": "[^/]"}.get(sign, re.escape(sign)) for sign in literal)
        if field:
            expression += ".+" if form else "(?P<date>.+)"
            form = form or str(spec)
    found = re.fullmatch(expression, name)
    if found is None or not form:
        return None if found is None else ""
    try:
        return datetime.strptime(found["date"], form).date().isoformat()  # noqa: DTZ007 - a date has no zone
    except ValueError:
        return None


def _fits(name: str, parts: Sequence[str]) -> bool:
    """Whether each part fits; what begins with _ or . is somebody's mark (_SUCCESS), unless it is asked for."""
    own = PurePosixPath(name).parts
    return len(own) == len(parts) and all(
        fnmatchcase(part, form) and (part[0] not in "_." or form[0] == part[0])
        for part, form in zip(own, parts, strict=True)
    )
