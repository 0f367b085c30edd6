"""The records of a table's files: each is copied to this host first, so that what is read is what was digested."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from recflow.config.sections.sources import Table
from recflow.data.sources.batches import Batch
from recflow.data.sources.csv_rows import read_csv
from recflow.data.sources.json_rows import read_json
from recflow.data.sources.parquet_rows import read_parquet
from recflow.data.sources.places import Place
from recflow.data.sources.unpack import Allowance, Member, broken_is_bad_data, members
from recflow.errors import BadData

_CHUNK_BYTES = 1 << 20
_FORMATS = {"csv": "csv", "tsv": "csv", "jsonl": "jsonl", "ndjson": "jsonl", "json": "jsonl", "parquet": "parquet"}


class FileReader:
    """Reads files of a place by way of `scratch`, all together no more than `gigabytes` unpacked."""

    def __init__(self, place: Place, scratch: Path, gigabytes: float) -> None:
        self._place, self._scratch, self._allowance = place, scratch, Allowance(gigabytes)
        self._digests: dict[str, str] = {}

    def digests(self, names: Sequence[str]) -> list[list[str]]:
        """Names and SHA-256 of files that were read."""
        return [[name, self._digests[name]] for name in names]

    def read(
        self, table: Table, names: Sequence[str], wanted: Sequence[str], required: set[str]
    ) -> Iterator[tuple[str, Batch]]:
        """Batches, each with the name of its file; BadData when a required column is missing.

        Of JSON lines a column is missing when no record of the whole day has it: a key may come first in line 30,000.
        """
        seen: set[str] = set()
        records = 0
        for member in self._members(names):
            form = table.format or _format_of(member.name)
            for batch in self._batches(table, form, member, wanted):
                if form != "jsonl":
                    refuse_missing(member.name, required, set(batch.columns))
                seen |= set(batch.columns)
                records += batch.records
                yield member.name, batch
        if records:
            refuse_missing(" and ".join(names[:3]), required, seen)

    def _members(self, names: Sequence[str]) -> Iterator[Member]:
        for name in names:
            copy = self._scratch / "copied"
            self._digests[name] = self._place.copy(name, copy)
            with broken_is_bad_data(name):
                yield from members(copy, name, self._allowance)
            copy.unlink()

    def _batches(self, table: Table, form: str, member: Member, wanted: Sequence[str]) -> Iterator[Batch]:
        with broken_is_bad_data(member.name):
            if form == "csv":
                sign = "\t" if member.name.endswith(".tsv") and table.delimiter == "," else table.delimiter
                yield from read_csv(
                    member, member.name, wanted, delimiter=sign, quoted=table.quoted, encoding=table.encoding
                )
            elif form == "jsonl":
                yield from read_json(member, member.name, wanted, encoding=table.encoding)
            else:
                unpacked = self._scratch / "unpacked"
                with unpacked.open("wb") as target:
                    while chunk := member.read(_CHUNK_BYTES):
                        target.write(chunk)
                yield from read_parquet(unpacked, member.name, wanted, take=self._allowance.take)
                unpacked.unlink()


def _format_of(name: str) -> str:
    suffix = name.removesuffix(".gz").rpartition(".")[2].lower()
    if suffix not in _FORMATS:
        raise BadData(
            f"{name} is of no known format",
            expected=", ".join(_FORMATS),
            seen=suffix,
            action="say `format` in the recipe",
        )
    return _FORMATS[suffix]


def refuse_missing(name: str, required: set[str], seen: set[str]) -> None:
    """BadData for the required columns that were not seen."""
    if missing := sorted(required - seen):
        what = f"the column {missing[0]}" if len(missing) == 1 else f"{len(missing)} columns"
        raise BadData(
            f"{name} lacks {what}",
            expected=", ".join(sorted(required)),
            seen=f"no {', '.join(missing)}",
            action="mend the feed, or the names in the recipe; a column that may be missing is `optional`",
        )
