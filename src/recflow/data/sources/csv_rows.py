"""CSV, record by record, so that no line is lost and a broken one costs no other.

The standard library's reader is asked in its strict form, because a quote that is opened and never closed makes the
lenient one, and those of Arrow and of databases, take the following lines for one long value. A record that cannot be
told apart is *damage* of its first line; the lines after it are read again, each as a start of a record.
"""

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import pyarrow as pa

from recflow.data.sources.batches import Batch, in_batches, texts, whole_batch
from recflow.data.sources.lines import text_lines
from recflow.data.sources.unpack import Member
from recflow.errors import BadData

_EXAMPLES = 80


class _Record(NamedTuple):
    line: int
    fields: list[str]
    damage: str | None


def read_csv(
    stream: Member, name: str, wanted: Sequence[str], *, delimiter: str, quoted: bool, encoding: str
) -> Iterator[Batch]:
    """Batches with those of the `wanted` columns that the header has; the first one has no records.

    Raises BadData for a column that is there twice, and for lines that `text_lines` refuses.
    """
    records = _Records(text_lines(stream, name, encoding), delimiter, quoted=quoted)
    places = _places(records.header, wanted, name)
    yield whole_batch({column: texts([]) for column in places}, 1, 0)
    for some in in_batches(records):
        columns = {
            column: texts([None if record.damage else record.fields[place] for record in some])
            for column, place in places.items()
        }
        damage = pa.array([record.damage for record in some], pa.string())
        yield Batch(columns, pa.array([record.line for record in some], pa.int64()), damage)


def _places(header: Sequence[str], wanted: Sequence[str], name: str) -> dict[str, int]:
    if twice := sorted({column for column in wanted if header.count(column) > 1}):
        raise BadData(f"{name} has the column {twice[0]} twice", expected="each once", seen=", ".join(header)[:200])
    found = {column: header.index(column) for column in wanted if column in header}
    if len(header) == 1 and not found:
        raise BadData(
            f"{name} has one column",
            expected=f"columns such as {', '.join(wanted[:3])}",
            seen=repr(header[0][:_EXAMPLES]),
            action="say in the recipe's `delimiter` what stands between columns",
        )
    return found


class _Records:
    """The records after the header. Blank lines are none."""

    def __init__(self, lines: Iterator[str], delimiter: str, *, quoted: bool) -> None:
        self._lines, self._delimiter = lines, delimiter
        self._quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
        self._again: deque[str] = deque()  # lines to be read again
        self._taken: list[str] = []  # lines of the record being read
        self._line = 1
        self.header: list[str] = []
        self.header = [field.strip() for field in next((record.fields for record in self._read()), [])]

    def __iter__(self) -> Iterator[_Record]:
        return self._read()

    def _read(self) -> Iterator[_Record]:
        reader = self._parse(self._feed())
        while True:
            self._taken = []
            try:
                fields = next(reader)
                damage = self._damage(fields) if len(self._taken) > 1 or len(fields) != len(self.header) else None
            except StopIteration:
                return
            except csv.Error as error:
                fields, damage = [], str(error)
            line = self._line
            if damage:
                self._again.extendleft(reversed(self._taken[1:]))
                reader = self._parse(self._feed())
                damage = f"{damage}: {self._taken[0].strip()[:_EXAMPLES]}"
            self._line += 1 if damage else len(self._taken)
            if fields or damage:
                yield _Record(line, fields, damage)

    def _parse(self, lines: Iterable[str]) -> Iterator[list[str]]:
        return csv.reader(lines, delimiter=self._delimiter, quoting=self._quoting, strict=True)

    def _feed(self) -> Iterator[str]:
        while True:
            line = self._again.popleft() if self._again else next(self._lines, None)
            if line is None:
                return
            self._taken.append(line)
            yield line

    def _damage(self, fields: list[str]) -> str | None:
        width = len(self.header)
        if width and fields and len(fields) != width:
            return f"{len(fields)} values where the header has {width} columns"
        later = self._taken[1:]
        if width > 1 and later and all(self._looks_like(line, fields[0]) for line in later):
            return f"a quote that takes the next {len(later)} lines into one value"
        return None

    def _looks_like(self, line: str, first: str) -> bool:
        """Whether a line is by itself a record whose first value has the form of `first`."""
        try:
            fields = next(self._parse([line]), [])
        except csv.Error:
            return False
        return len(fields) == len(self.header) and _form(fields[0]) == _form(first)


def _form(value: str) -> str:
    """Letters and digits by kind: e-17 and x-2 have one form."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", value))
