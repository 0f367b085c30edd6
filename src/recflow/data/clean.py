"""Cleaning: from rows as delivered to typed rows, with what was mended and what could not be read.

Mended: markup, width, control characters and spaces of texts (`domain/text.py`); exact duplicates are dropped, where
two rows are duplicates when they agree in everything but `event_id`. Not mended, and left null for the checks to find:
values that are not of their column's type. Missing stays missing, except revenue (0) and the position of a judgement.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from recflow.data.rows import COLUMNS, IDS, NUMBERS, TEXTS
from recflow.domain.text import normalise
from recflow.errors import BadData

# A column in which most values cannot be read is another column; a few such values are bad rows.
_MAX_UNREADABLE_SHARE = 0.5


@dataclass(frozen=True)
class Cleaned:
    """Typed rows and the same rows as delivered, both indexed 0 … n-1, with counts of what was mended.

    `at` is in UTC without saying so: pandas and Arrow disagree on columns that do.
    """

    rows: pd.DataFrame
    delivered: pd.DataFrame
    rows_in: int
    duplicates: int
    mended: dict[str, int]


def clean(table: pa.Table, label: str, *, max_duplicate_share: float) -> Cleaned:
    """Typed, de-duplicated rows of the day `label`.

    Raises BadData for an empty day, a missing column, a column of another type and too many duplicates.
    """
    _refuse_empty(table, label)
    delivered = _drop_duplicates(table, label, max_duplicate_share)
    texts = {name: _each_once(delivered[name], _normalised) for name in TEXTS}
    ids = {name: _each_once(delivered[name], _stripped) for name in IDS}
    numbers = {name: _number(delivered, name, label) for name in NUMBERS}
    numbers["position"] = numbers["position"].where(numbers["position"] % 1 == 0)
    rows = pd.DataFrame({**ids, **texts, **numbers, "at": _times(delivered, label)})[list(COLUMNS)]
    judged = rows["kind"] == "judgement"
    rows.loc[judged & delivered["position"].isna(), "position"] = 0
    rows.loc[delivered["value"].isna(), "value"] = 0
    mended = {name: int((delivered[name].notna() & (delivered[name] != texts[name])).sum()) for name in TEXTS}
    return Cleaned(rows, delivered, table.num_rows, table.num_rows - len(delivered), mended)


def _refuse_empty(table: pa.Table, label: str) -> None:
    if table.num_rows == 0:
        raise BadData(f"{label} is empty", expected="events", seen="0 rows")
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise BadData(
            f"{label} lacks {_columns(missing)}", expected=", ".join(COLUMNS), seen=f"no {', '.join(missing)}"
        )


def _columns(names: list[str]) -> str:
    return f"the column {names[0]}" if len(names) == 1 else f"{len(names)} columns"


def _drop_duplicates(table: pa.Table, label: str, max_share: float) -> pd.DataFrame:
    delivered = pd.DataFrame({name: pd.Series(table[name].to_pylist(), dtype=object) for name in COLUMNS})
    repeated = delivered.duplicated([name for name in COLUMNS if name != "event_id"])
    if repeated.mean() > max_share:
        raise BadData(
            f"{label} repeats {int(repeated.sum())} of {len(delivered)} rows",
            expected=f"at most {max_share:.0%} exact duplicates",
            seen=f"{repeated.mean():.0%}",
            action="look for a feed that was replayed or joined twice, mend it, then clear the task",
        )
    return delivered[~repeated].reset_index(drop=True)


def _each_once(column: pd.Series, mend: Callable[[str], str | None]) -> pd.Series:
    mended = {text: mend(text) for text in column.dropna().unique()}
    return pd.Series([mended.get(text) for text in column], dtype=object)


def _normalised(text: str) -> str | None:
    return normalise(text) or None


def _stripped(text: str) -> str | None:
    return text.strip() or None


def _number(delivered: pd.DataFrame, name: str, label: str) -> pd.Series:
    values = pd.to_numeric(delivered[name], errors="coerce").astype("float64")
    values = values.where(values.abs() != float("inf"))
    _refuse_other_type(delivered[name], values, name, label, "numbers")
    return values


def _times(delivered: pd.DataFrame, label: str) -> pd.Series:
    times = pd.to_datetime(delivered["at"], errors="coerce", utc=True, format="ISO8601").dt.tz_convert(None)
    times = times.dt.as_unit("us")
    _refuse_other_type(delivered["at"], times, "at", label, "ISO 8601 times")
    return times


def _refuse_other_type(delivered: pd.Series, typed: pd.Series, name: str, label: str, expected: str) -> None:
    given = delivered.notna()
    unreadable = given & typed.isna()
    if given.any() and unreadable.sum() / given.sum() > _MAX_UNREADABLE_SHARE:
        example = delivered[unreadable].iloc[0]
        raise BadData(
            f"the column {name} of {label} is of another type",
            expected=expected,
            seen=f"{int(unreadable.sum())} of {int(given.sum())} values such as {str(example)[:40]!r}",
        )
