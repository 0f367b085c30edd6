"""Every kind of event log that the suites of the seam go through."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fakes.fake_clock import FakeClock
from fakes.fake_event_log import FakeEventLog
from recflow.artifacts.events import Record
from recflow.clients.event_log import DuckEventLog

KINDS_OF_LOG = ("segments", "parquet", "both", "double")


@contextmanager
def event_log(kind: str, folder: Path) -> Iterator[FakeEventLog | DuckEventLog]:
    """The log; what a test has appended is read from segments, from Parquet, or half and half."""
    if kind == "double":
        yield FakeEventLog()
        return
    log = CompactingLog(folder, kind)
    try:
        yield log
    finally:
        log.close()


class CompactingLog(DuckEventLog):
    def __init__(self, folder: Path, how: str) -> None:
        super().__init__(folder, FakeClock())
        self.how, self.appends = how, 0

    def append(self, worker: str, records: Sequence[Record]) -> None:
        super().append(worker, records)
        self.appends += 1
        if self.how == "parquet" or (self.how == "both" and self.appends % 2):
            self.close()
            self.compact()
