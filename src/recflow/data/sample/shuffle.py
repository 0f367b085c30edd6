"""A broken upstream join, on real judgements: grades of one day end up on the wrong products of their query."""

import csv
from collections import defaultdict
from datetime import date
from pathlib import Path

from recflow.config.sections.data import SplitSection
from recflow.config.sections.sources import SourceSection
from recflow.data.sample.behaviour import mirror
from recflow.data.sources.spread import day_index
from recflow.data.split import split_of
from recflow.domain.queries import query_id
from recflow.errors import BadConfiguration, BadData

GRADE = "median_relevance"
_NEEDED = ("id", "query", "product_title", GRADE)

Record = dict[str, str]


def read_pairs(folder: Path) -> dict[str, list[Record]]:
    """The records of a folder's CSV files, by file name.

    BadConfiguration without a CSV file; BadData for a file without rows or a needed column, or a grade of no number.
    """
    paths = sorted(folder.glob("*.csv")) or sorted((folder / "ValidationFolds").glob("*.csv"))
    files = {path.name: _records(path) for path in paths}
    if not files:
        seen = "no CSV file" if folder.is_dir() else "no folder"
        raise BadConfiguration(
            f"there are no judged pairs in {folder}", expected="a folder of CSV files", seen=seen,
            action="name a folder of CSV files with CrowdFlower's columns",
        )  # fmt: skip
    for name, records in files.items():
        _refuse_unusable(name, records)
    return files


def _records(path: Path) -> list[Record]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return list(csv.DictReader(stream, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{path.name} is broken", expected="CSV in UTF-8", seen=str(error)) from error


def _refuse_unusable(name: str, records: list[Record]) -> None:
    if not records:
        raise BadData(f"{name} has no rows", expected="judged pairs below the header", seen="none")
    if missing := [column for column in _NEEDED if column not in records[0]]:
        raise BadData(f"{name} lacks columns", expected=", ".join(_NEEDED), seen=f"no {', '.join(missing)}")
    for record in records:
        if not record[GRADE].isdecimal():
            seen = f"{record[GRADE]!r} in the row with id {record['id']}"
            raise BadData(f"{name} has a {GRADE} that is no number", expected="1 to 4", seen=seen)


def shuffle_grades(
    folder: Path, target: Path, day: date, source: SourceSection, split: SplitSection, *, held_out: bool = False
) -> int:
    """Copy a CrowdFlower folder's CSV files to `target` with one day's grades on wrong rows; the rows changed.

    Raises what `read_pairs` raises.
    Within each query of that day grades are dealt out in the opposite order, so that their histogram stays and no check
    of single rows can see it. Queries that `split` holds out for the test stay clean, so that a gate can still judge;
    with `held_out` they are spoilt too, and the gate is deceived.
    """
    files = read_pairs(folder)
    index = (day - source.first_day).days
    by_query: dict[str, dict[str, int]] = defaultdict(dict)
    for record in (record for records in files.values() for record in records):
        spoilt = held_out or split_of(query_id(record["query"]), split) != "test"
        if spoilt and day_index(record["id"], source.days) == index:
            by_query[query_id(record["query"])][record["id"]] = int(record[GRADE])
    dealt = {row: grade for grades in by_query.values() for row, grade in mirror(grades).items()}
    changed = 0
    for name, records in files.items():
        for record in records:
            grade = str(dealt.get(record["id"], record[GRADE]))
            changed += grade != record[GRADE]
            record[GRADE] = grade
        write_pairs(target / name, records)
    return changed


def write_pairs(path: Path, records: list[Record]) -> None:
    """Write records as a CSV file that the `crowdflower` source reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(records[0]), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(records)
