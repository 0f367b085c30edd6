"""Checks as expressions: which rows a check is about, and which of them break it.

What an expectation means is Great Expectations' word: null breaks `not_be_null` and nothing else, bounds are within,
lengths are in characters, patterns are Python's and may be found anywhere.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recflow.data.checks import Check
from recflow.data.rows import PLACE
from recflow.engine import Table, Value
from recflow.engine.expressions import any_of, holds, is_found, quantile
from recflow.errors import JudgeFailed

_NOT_NULL = "expect_column_values_to_not_be_null"
_UNIQUE = "expect_column_values_to_be_unique"
_BOUNDS = frozenset({"min_value", "max_value", "strict_min", "strict_max"})

Options = Mapping[str, Any]


def with_repeats(rows: Table, checks: Sequence[Check]) -> Table:
    """The rows with what a check of unique values needs: whether another row has the same one."""
    for column in sorted({check.kwargs["column"] for check in checks if check.expectation == _UNIQUE}):
        counted = rows.group_by(column).aggregate(same=lambda same: same.count())
        repeated = counted.filter(counted.same > 1).select(_value=counted[column], **{_repeated(column): True})
        rows = rows.left_join(repeated, rows[column] == repeated["_value"]).drop("_value")
    return rows


def _repeated(column: str) -> str:
    return f"repeated_{column}"


def judged(check: Check, rows: Table) -> Value:
    """Whether a row is of the kinds that the check is about."""
    return rows.kind.isin(check.kinds).fill_null(False) if check.kinds else rows[PLACE[0]].notnull()


def missing(check: Check, rows: Table) -> Value:
    """Whether a row is judged and has no value."""
    return judged(check, rows) & rows[check.kwargs["column"]].isnull()


def counts_missing(check: Check) -> bool:
    """Whether rows without a value count among those of which a share must pass."""
    return check.expectation == _NOT_NULL


def offends(check: Check, rows: Table) -> Value:
    """Whether a row breaks the check; never null. JudgeFailed for a check that its column's type does not allow."""
    try:
        return _offends(check, rows)
    except (AttributeError, TypeError) as error:
        raise JudgeFailed(
            f"check {check.name} ({check.expectation}) could not be evaluated", expected="a judgement", seen=str(error)
        ) from error


def _offends(check: Check, rows: Table) -> Value:
    if check.expectation == _NOT_NULL:
        return missing(check, rows)
    column = check.kwargs["column"]
    if check.expectation == _UNIQUE:
        return judged(check, rows) & rows[_repeated(column)].notnull()
    breaks, _ = _OF_VALUES[check.expectation]
    return judged(check, rows) & rows[column].notnull() & holds(breaks(rows[column], check.kwargs))


def _outside(value: Value, options: Options) -> Value:
    low, high = options.get("min_value"), options.get("max_value")
    conditions = []
    if low is not None:
        conditions.append(value <= low if options.get("strict_min") else value < low)
    if high is not None:
        conditions.append(value >= high if options.get("strict_max") else value > high)
    return any_of(conditions)


def _length_outside(value: Value, options: Options) -> Value:
    return _outside(value.length(), options)


def _in_set(value: Value, options: Options) -> Value:
    return value.isin(list(options["value_set"]))


def _not_in_set(value: Value, options: Options) -> Value:
    return ~_in_set(value, options)


def _found(value: Value, options: Options) -> Value:
    return is_found(options["regex"], value)


def _not_found(value: Value, options: Options) -> Value:
    return ~_found(value, options)


_OF_VALUES: Mapping[str, tuple[Callable[[Value, Options], Value], frozenset[str]]] = {
    "expect_column_values_to_be_between": (_outside, _BOUNDS),
    "expect_column_value_lengths_to_be_between": (_length_outside, _BOUNDS),
    "expect_column_values_to_be_in_set": (_not_in_set, frozenset({"value_set"})),
    "expect_column_values_to_not_be_in_set": (_in_set, frozenset({"value_set"})),
    "expect_column_values_to_match_regex": (_not_found, frozenset({"regex"})),
    "expect_column_values_to_not_match_regex": (_found, frozenset({"regex"})),
}

# Checks of a whole day on one number, which is its own minimum, mean, sum.
_DAY_CHECKS: Mapping[str, Callable[[Value], Value]] = {
    "expect_column_mean_to_be_between": lambda values: values.mean(),
    "expect_column_median_to_be_between": lambda values: quantile(values, 0.5),
    "expect_column_sum_to_be_between": lambda values: values.sum(),
    "expect_column_min_to_be_between": lambda values: values.min(),
    "expect_column_max_to_be_between": lambda values: values.max(),
}
EXPECTATIONS = (_NOT_NULL, _UNIQUE, *_OF_VALUES, *_DAY_CHECKS)


def tells_rows(check: Check) -> bool:
    """Whether the rows that break the check can be told by an expression."""
    allowed: frozenset[str] = frozenset()
    if check.expectation not in (_NOT_NULL, _UNIQUE):
        if check.expectation not in _OF_VALUES:
            return False
        _, allowed = _OF_VALUES[check.expectation]
    return check.kwargs.keys() <= allowed | {"column", "mostly"}


def tells_the_day(check: Check) -> bool:
    """Whether the check is about one number of the whole day that an expression gives."""
    return check.expectation in _DAY_CHECKS


def of_the_day(check: Check, rows: Table) -> Value:
    """The number of the day that the check judges."""
    return _DAY_CHECKS[check.expectation](rows[check.kwargs["column"]])
