"""How a sample's files are written: format, encoding, delimiter, quotes, and the names of their columns."""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from recflow.data.sources.unpack import Allowance, Member, broken_is_bad_data, members
from recflow.domain.masking import find
from recflow.errors import BadData

Format = Literal["csv", "jsonl", "parquet"]
_PEEK_BYTES = 1 << 20
_PEEK_RECORDS = 200
_PEEK_GB = 50.0
_ENCODINGS = ("utf-8", "gb18030", "cp1252")
_HAN = re.compile("[\u4e00-\u9fff]{2}")  # one alone is what two accented letters in a row look like
_DELIMITERS = (",", ";", "\t", "|")
_ENDINGS: Mapping[str, Format] = {
    ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet",
}  # fmt: skip
_NO_NAME = re.compile(r"[-+]?[\d.,:/ TZ-]*\d[\d.,:/ TZ+-]*|[^@\s]+@[^@\s]+|https?://\S*", re.IGNORECASE)


@dataclass(frozen=True)
class Form:
    """What a recipe's table says of its files beside their names, and the columns that they have."""

    format: Format
    columns: tuple[str, ...]
    encoding: str = "utf-8"
    delimiter: str = ","
    quoted: bool = True
    customary: bool = True

    @property
    def options(self) -> dict[str, Any]:
        """The options of a recipe's table, where they are not customary."""
        told = {"encoding": self.encoding, "delimiter": self.delimiter, "quoted": self.quoted}
        usual = {"encoding": "utf-8", "delimiter": ",", "quoted": True}
        named = {} if self.customary else {"format": self.format}
        return named | {name: value for name, value in told.items() if value != usual[name]}


def form_of(path: Path) -> Form:
    """The form of a file, or of the first file in an archive.

    BadData for what has no rows, no header or no columns, is in no known encoding, or is no table of records at all.
    """
    with broken_is_bad_data(path.name):
        for member in members(path, path.name, Allowance(_PEEK_GB)):
            return _form(member)
    raise _nothing_in(path.name)


def _form(member: Member) -> Form:
    head = member.read(_PEEK_BYTES)
    if not head.strip():
        raise _nothing_in(member.name)
    ending = next((form for end, form in _ENDINGS.items() if member.name.removesuffix(".gz").endswith(end)), None)
    if head.startswith(b"PAR1"):
        return Form("parquet", _of_parquet(member, head), customary=ending == "parquet")
    text, encoding = _text(member.name, head)
    lines = [line for line in text.split("\n") if line.strip()]
    if ending == "jsonl" or (ending is None and lines[0].lstrip().startswith("{")):
        return Form("jsonl", _of_json(member.name, lines), encoding, customary=ending == "jsonl")
    return _of_csv(member.name, lines[:_PEEK_RECORDS], encoding, customary=ending == "csv")


def _nothing_in(name: str) -> BadData:
    return BadData(f"{name} is empty", expected="rows below a header, JSON lines or Parquet", seen="nothing")


def _text(name: str, head: bytes) -> tuple[str, str]:
    """The text of a file's first block up to its last whole line, and its encoding."""
    if b"\x00" in head:
        raise BadData(f"{name} is no text", expected="CSV, JSON lines or Parquet", seen="bytes that no text has")
    whole = head[: head.rfind(b"\n") + 1] or head
    for encoding in _ENCODINGS:
        try:
            text = whole.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding != "gb18030" or _HAN.search(text):
            return text.removeprefix("\ufeff"), encoding
    raise BadData(
        f"{name} is in an unknown encoding", expected=", ".join(_ENCODINGS), seen="bytes that none of them has"
    )


def _of_parquet(member: Member, head: bytes) -> tuple[str, ...]:
    with TemporaryDirectory(prefix="sample-") as folder:
        copy = Path(folder) / "copy"
        with copy.open("wb") as stream:
            stream.write(head)
            while block := member.read(_PEEK_BYTES):
                stream.write(block)
        try:
            schema = pq.read_schema(copy)
        except (pa.ArrowInvalid, OSError) as error:
            raise BadData(f"{member.name} is cut or broken", expected="Parquet", seen=str(error)[:200]) from error
    return tuple(field.name for field in schema if not pa.types.is_nested(field.type))


def _of_json(name: str, lines: Sequence[str]) -> tuple[str, ...]:
    """The keys of the first objects, those inside others as a.b, in order of appearance."""
    keys: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadData(f"{name} is not JSON lines", expected="one object a line", seen=f"line {number}") from error
        if not isinstance(found, dict):
            raise BadData(f"{name} is not JSON lines", expected="one object a line", seen=f"line {number}")
        keys |= dict.fromkeys(_paths(found))
    return tuple(keys)


def _paths(value: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _paths(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _of_csv(name: str, lines: Sequence[str], encoding: str, *, customary: bool) -> Form:
    delimiter = _delimiter(lines)
    quoted = _damage(lines, delimiter, quoted=True) <= _damage(lines, delimiter, quoted=False)
    header, *records = ([field.strip() for field in fields] for fields in csv.reader(lines, delimiter=delimiter))
    _refuse_no_header(name, header, records)
    if not records:
        raise BadData(f"{name} has no rows", expected="rows below the header", seen="a header alone")
    is_tab = delimiter == "\t" and name.removesuffix(".gz").endswith(".tsv")
    return Form("csv", tuple(filter(None, header)), encoding, "," if is_tab else delimiter, quoted, customary)


def _delimiter(lines: Sequence[str]) -> str:
    """The sign that parts most records into as many fields as the header has; the comma where none does."""

    def fitting(sign: str) -> tuple[int, int]:
        widths = [len(fields) for fields in csv.reader(lines, delimiter=sign)]
        same = sum(width == widths[0] for width in widths)
        return (same, widths[0]) if widths[0] > 1 else (0, 0)

    return max(_DELIMITERS, key=fitting)


def _damage(lines: Sequence[str], delimiter: str, *, quoted: bool) -> int:
    """How many of the records cannot be read, or have another width than the first."""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader, widths = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True), []
    while True:
        try:
            widths.append(len(next(reader)))
        except StopIteration:
            return sum(width != widths[0] for width in widths)
        except csv.Error:
            widths.append(-1)


def _refuse_no_header(name: str, header: Sequence[str], records: Sequence[Sequence[str]]) -> None:
    """BadData where the first line has values instead of names, or one name twice. The first name may be empty."""
    columns = zip_longest(*(fields[: len(header)] for fields in records))
    values = [set(column) for column in columns] or [set[str | None]()] * len(header)
    unlike = [
        column in seen or bool(_NO_NAME.fullmatch(column)) or bool(find(column)) or (not column and place > 0)
        for place, (column, seen) in enumerate(zip(header, values, strict=False))
    ]
    if any(unlike):
        raise BadData(
            f"{name} has no header",
            expected="a first line with the names of the columns",
            seen=f"{sum(unlike)} of {len(header)} values in it that are no names",
            action="write one into the file: columns are read by their names",
        )
    if twice := [column for column, times in Counter(header).items() if times > 1]:
        raise BadData(f"{name} has the column {twice[0]} twice", expected="each once", seen="two or more")
