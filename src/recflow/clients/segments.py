"""Append-only segment files of the event log, and how a dead writer is told from a live one."""

import errno
import fcntl
import logging
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from recflow.errors import StoreFull, StoreUnavailable, TemporaryError
from recflow.protocols import Clock

_LOG = logging.getLogger(__name__)
_SYNC_EVERY_S = 0.5


class Segment:
    """One file with one writer, which holds its lock for as long as it lives and appends whole lines only."""

    def __init__(self, path: Path, opened_at: datetime) -> None:
        self.opened_at = opened_at
        self.size = 0
        self._synced = 0
        hidden = path.with_suffix(".new")
        self._file = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o640)
        # Locked before it can be seen: a compaction never takes a segment between its creation and its first line.
        fcntl.flock(self._file, fcntl.LOCK_EX)
        hidden.rename(path)

    def write(self, data: bytes) -> None:
        """Append the bytes wholly or not at all; OSError when the disk refuses."""
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self.size)
            raise
        self.size += len(data)

    def unsynced(self) -> int | None:
        """A duplicate descriptor to fsync and close, None when nothing new was written."""
        if self._synced == self.size:
            return None
        self._synced = self.size
        return os.dup(self._file)

    def close(self) -> None:
        """Sync and give up the lock: the segment is finished."""
        try:
            os.fsync(self._file)
        finally:
            os.close(self._file)


class SegmentWriter:
    """The open segment of each worker of this process: `write(2)` before returning, fsync within a second."""

    def __init__(self, folder: Path, clock: Clock, max_bytes: int, max_age_s: float) -> None:
        self._folder, self._clock = folder, clock
        self._max_bytes, self._max_age = max_bytes, timedelta(seconds=max_age_s)
        self._segments: dict[str, Segment] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._syncer: threading.Thread | None = None

    def write(self, worker: str, data: bytes) -> None:
        """Append lines to the worker's segment. Raises StoreFull or StoreUnavailable; then none of them is kept."""
        with self._lock, disk_errors(f"the log of {worker} could not be written"):
            self._segment(worker).write(data)
            if self._syncer is None:
                self._syncer = threading.Thread(target=self._sync_for_ever, name="event-log-sync", daemon=True)
                self._syncer.start()

    def _segment(self, worker: str) -> Segment:
        now = self._clock.now()
        segment = self._segments.get(worker)
        if segment and (segment.size >= self._max_bytes or now - segment.opened_at >= self._max_age):
            self._segments.pop(worker).close()
            segment = None
        if segment is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            segment = Segment(self._folder / f"{worker}-{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}.jsonl", now)
            self._segments[worker] = segment
        return segment

    def _sync_for_ever(self) -> None:
        while not self._closed.wait(_SYNC_EVERY_S):
            with self._lock:
                files = [file for segment in self._segments.values() if (file := segment.unsynced()) is not None]
            for file in files:
                _sync(file)

    def close(self) -> None:
        """Finish every segment; a later write opens new ones."""
        with self._lock:
            self._closed.set()
            while self._segments:
                self._segments.popitem()[1].close()
            syncer, self._syncer = self._syncer, None
        if syncer is not None:
            syncer.join()
        self._closed.clear()


def _sync(file: int) -> None:
    try:
        os.fsync(file)
    except OSError:
        _LOG.exception("a segment of the event log could not be synced: a loss of the host would lose its last lines")
    finally:
        os.close(file)


@contextmanager
def finished(path: Path) -> Iterator[bool]:
    """Whether the segment's writer is done or dead; while True the lock is held. False as well when it is gone."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(file)


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Whether this is the only process between here and the end of the block, by a lock file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with finished(path) as free:
        yield free


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Errors of the disk as StoreFull or StoreUnavailable; `what` says what could not be done."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        kind: type[TemporaryError] = StoreFull if full else StoreUnavailable
        expected = "space on the disk" if full else "a disk that answers"
        raise kind(what, expected=expected, seen=str(error)) from error
