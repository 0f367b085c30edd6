"""A broken upstream join, on real judgements: grades of one day end up on the wrong products of their query."""

import csv
from collections import defaultdict
from datetime import date
from pathlib import Path

from recflow.config.sections.data import SourceSection, SplitSection
from recflow.data.sample.behaviour import mirror
from recflow.data.sources.crowdflower import csv_files, day_index, read_csv
from recflow.data.split import query_id, split_of

_GRADE = "median_relevance"


def shuffle_grades(folder: Path, target: Path, day: date, source: SourceSection, split: SplitSection) -> int:
    """Copy a CrowdFlower folder's CSV files to `target` with one day's grades on wrong rows; the rows changed.

    Within each query of that day grades are dealt out in the opposite order, so that their histogram stays and no check
    of single rows can see it. Queries that `split` holds out for the test stay clean, so that a gate can still judge.
    """
    files = {path.name: list(read_csv(path)) for path in csv_files(folder)}
    index = (day - source.first_day).days
    by_query: dict[str, dict[str, int]] = defaultdict(dict)
    for record in (record for records in files.values() for record in records):
        if day_index(record["id"], source.days) == index and split_of(query_id(record["query"]), split) != "test":
            by_query[query_id(record["query"])][record["id"]] = int(record[_GRADE])
    dealt = {row: grade for grades in by_query.values() for row, grade in mirror(grades).items()}
    target.mkdir(parents=True, exist_ok=True)
    changed = 0
    for name, records in files.items():
        for record in records:
            grade = str(dealt.get(record["id"], record[_GRADE]))
            changed += grade != record[_GRADE]
            record[_GRADE] = grade
        _write(target / name, records)
    return changed


def _write(path: Path, records: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(records[0]), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(records)
