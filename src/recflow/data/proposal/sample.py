"""A sample of a shop's events: which files it has, what they are called day by day, and how its columns look."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from recflow.config.sections.sources import Table
from recflow.data.proposal.form import Form, form_of
from recflow.data.proposal.looks import Look, look_at
from recflow.data.sources.files import FileReader
from recflow.data.sources.places import Place
from recflow.errors import BadConfiguration, BadData

_READ_FILES = 3
_READ_ROWS = 20_000
_UNPACKED_GB = 50.0
_DATES = {"%Y-%m-%d": r"\d{4}-\d\d-\d\d", "%Y%m%d": r"(?<!\d)\d{8}(?!\d)", "%Y_%m_%d": r"\d{4}_\d\d_\d\d"}
_DATA = re.compile(r"\.(csv|tsv|jsonl|ndjson|json|parquet)(\.gz)?$|\.(zip|tar|tgz|tar\.gz)$")


@dataclass(frozen=True)
class Sample:
    """What is known of a sample.

    `folder` has the files that `pattern` names, `left_out` others. `columns` are values by name of the first `rows`
    rows, of which `damaged` ones could not be told apart into columns.
    """

    folder: Path
    pattern: str
    left_out: tuple[str, ...]
    form: Form
    columns: Mapping[str, Sequence[str | None]]
    rows: int
    damaged: int

    @property
    def dated(self) -> bool:
        """Whether files name their day."""
        return "{date" in self.pattern

    @cached_property
    def looks(self) -> tuple[Look, ...]:
        """What each column looks like."""
        return tuple(look_at(name, values) for name, values in self.columns.items())


def read_sample(path: Path) -> Sample:
    """The sample in a file, or in the files of a folder.

    BadConfiguration where there is none, BadData where it is no table of records.
    """
    folder, names = _files(path)
    by_pattern: dict[str, list[str]] = {}
    for name in names:
        by_pattern.setdefault(pattern_of(name, alone=len(names) == 1), []).append(name)
    pattern, chosen = max(by_pattern.items(), key=lambda one: (len(one[1]), one[0]))
    form = form_of(folder / chosen[0])
    columns, rows, damaged = _read(folder, chosen, form)
    if not rows:
        raise BadData(f"{path.name} has no rows", expected="some below the header", seen="none")
    left_out = tuple(sorted(set(names) - set(chosen)))
    return Sample(folder, pattern, left_out, form, columns, rows, damaged)


def _files(path: Path) -> tuple[Path, list[str]]:
    if path.is_file():
        return path.parent.resolve(), [path.name]
    names = sorted(
        file.relative_to(path).as_posix()
        for file in path.rglob("*")
        if file.is_file() and _DATA.search(file.name) and not file.name.startswith((".", "_"))
    )
    if not names:
        seen = "a folder without one" if path.is_dir() else "nothing there"
        raise BadConfiguration(f"{path} has no sample", expected="CSV, JSON lines or Parquet, or a folder", seen=seen)
    return path.resolve(), names


def pattern_of(name: str, *, alone: bool) -> str:
    """A file's name as a recipe's pattern: its day as a placeholder; else, unless it is `alone`, numbers as stars."""
    plain = re.sub(r"[*?\[]", "?", name.replace("{", "{{").replace("}", "}}"))
    for form, expression in _DATES.items():
        for found in re.finditer(expression, plain):
            if _is_day(found[0], form):
                return plain.replace(found[0], f"{{date:{form}}}")
    return plain if alone else re.sub(r"\d+", "*", plain)


def _is_day(text: str, form: str) -> bool:
    try:
        return date(1990, 1, 1) <= datetime.strptime(text, form).date() <= date(2100, 1, 1)  # noqa: DTZ007 - a date
    except ValueError:
        return False


def _read(folder: Path, names: Sequence[str], form: Form) -> tuple[dict[str, list[str | None]], int, int]:
    """Values by column of the first rows of a few files, how many rows those are, and how many of them are damaged."""
    table = Table.model_validate(
        {"files": ["any"], "format": form.format, "columns": {"event_id": "any"}} | form.options
    )
    some = names[:: max(1, len(names) // _READ_FILES)][:_READ_FILES]
    columns: dict[str, list[str | None]] = {name: [] for name in form.columns}
    rows = damaged = 0
    with TemporaryDirectory(prefix="sample-") as scratch:
        for name in some:
            reader = FileReader(Place(folder.as_uri()), Path(scratch), _UNPACKED_GB)
            for _, batch in islice(reader.read(table, [name], form.columns, set()), 2):
                whole = batch.damage.is_null()
                damaged += batch.records - whole.true_count
                rows += batch.records
                for column in columns:
                    columns[column] += batch.column(column).filter(whole).to_pylist()
            if rows >= _READ_ROWS:
                break
    return columns, rows, damaged
