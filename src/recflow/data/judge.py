"""The judge of a day: which rows broke which check, and what the day's report says of each check.

A small day is judged row by row by Great Expectations. Of a large one the expressions of `offending.py` give the rows
that break a check and count all; Great Expectations then judges some of those rows, and must find what was found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from recflow.data import offending
from recflow.data.checks import Check
from recflow.data.expectations import EXAMPLES, Found, Judge, open_judge
from recflow.data.rows import PLACE
from recflow.engine import CannotCompute, Engine, Table, Value
from recflow.engine.expressions import constant, first_of_each, when
from recflow.errors import BadConfiguration, JudgeFailed

# Great Expectations holds a day in memory as pandas, and takes 0.4 ms for each row that breaks a check.
ROW_BY_ROW_MAX_ROWS = 100_000
# Of each check, for Great Expectations and the Data Docs of a day with more rows.
_DOCUMENTED_ROWS = 1_000
_NO_REASON = pa.schema(
    [("source_file", pa.string()), ("source_row", pa.int64()), ("reason", pa.string())]
).empty_table()


@dataclass(frozen=True)
class CheckResult:
    """What one check found: how many rows broke it, or, for a check of the whole day, only that it failed."""

    name: str
    expectation: str
    severity: Literal["blocking", "warning"]
    passed: bool
    judged: int
    broken: int
    examples: tuple[str, ...]
    observed: str = ""

    @property
    def of_the_day(self) -> bool:
        """Whether the day as a whole failed, so that no row can be put aside for it."""
        return not self.passed and not self.broken


@dataclass(frozen=True)
class Verdict:
    """Results in the order of the checks, and what blocking checks refuse: a row's place and one `reason` a row."""

    results: tuple[CheckResult, ...]
    broken: Table


def judge(
    engine: Engine,
    rows: Table,
    checks: Sequence[Check],
    title: str,
    docs: Path,
    *,
    row_by_row_max_rows: int = ROW_BY_ROW_MAX_ROWS,
) -> Verdict:
    """The verdict on rows with their places; Data Docs as static HTML in the folder `docs`.

    Raises BadConfiguration for a check that cannot be stated, and JudgeFailed when a check could not be evaluated:
    that says nothing about the data.
    """
    _refuse_same_names(checks)
    with open_judge(docs) as judge_of_rows:
        if engine.count(rows) <= row_by_row_max_rows:
            return _row_by_row(engine, rows, checks, title, judge_of_rows)
        return _by_expressions(engine, rows, checks, title, judge_of_rows)


def _refuse_same_names(checks: Sequence[Check]) -> None:
    names = [check.name for check in checks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadConfiguration("checks share a name", expected="a name for each check", seen=", ".join(twice))


def _row_by_row(engine: Engine, rows: Table, checks: Sequence[Check], title: str, judge_of_rows: Judge) -> Verdict:
    fetched = engine.fetch(rows.order_by(list(PLACE)))
    found = judge_of_rows.judge(fetched, checks, title)
    results = tuple(_result(check, result, len(result.rows)) for check, result in zip(checks, found, strict=True))
    broken = [
        fetched.select(PLACE).take(pa.array(result.rows, pa.int64())).append_column("reason", _repeat(check, result))
        for check, result in zip(checks, found, strict=True)
        if check.severity == "blocking"
    ]
    return Verdict(results, engine.load(pa.concat_tables([_NO_REASON, *broken])))


def _repeat(check: Check, result: Found) -> pa.Array:
    return pa.array([check.name] * len(result.rows), pa.string())


def _result(check: Check, found: Found, broken: int) -> CheckResult:
    return CheckResult(
        check.name,
        check.expectation,
        check.severity,
        found.passed,
        found.judged,
        broken,
        found.examples,
        found.observed,
    )


def _by_expressions(engine: Engine, rows: Table, checks: Sequence[Check], title: str, judge_of_rows: Judge) -> Verdict:
    _refuse_untold(checks)
    of_rows = [check for check in checks if offending.tells_rows(check)]
    of_day = [check for check in checks if offending.tells_the_day(check)]
    table = offending.with_repeats(rows, of_rows)
    counts = _count(engine, table, of_rows)
    results = {check.name: _counted(check, counts[check.name]) for check in of_rows}
    broken = [check for check in of_rows if counts[check.name]["broken"]]
    documented = _documented(engine, table, broken)
    for number, check in enumerate(broken):
        results[check.name] = replace(results[check.name], examples=_examples(documented, check, number))
    _document(documented.select(table.columns), of_rows, results, title, judge_of_rows)
    results |= _judge_day(engine, rows, of_day, f"{title}-as-a-whole", judge_of_rows)
    refusing = [check for check in of_rows if check.severity == "blocking" and results[check.name].broken]
    reasons = [_offenders(table, check).select(*PLACE, reason=constant(check.name)) for check in refusing]
    reasons = reasons or [engine.load(_NO_REASON)]
    return Verdict(tuple(results[check.name] for check in checks), engine.keep(_union(reasons)))


def _refuse_untold(checks: Sequence[Check]) -> None:
    for check in checks:
        if not (offending.tells_rows(check) or offending.tells_the_day(check)):
            raise BadConfiguration(
                f"check {check.name} cannot be judged on a day of more than {ROW_BY_ROW_MAX_ROWS} rows",
                expected=f"one of {', '.join(offending.EXPECTATIONS)}",
                seen=f"{check.expectation} with {', '.join(check.kwargs)}",
            )


def _count(engine: Engine, table: Table, checks: Sequence[Check]) -> dict[str, dict[str, int]]:
    """Of each check, by name, the rows it is about, those of them without a value, and those that break it."""
    facts = {"judged": offending.judged, "missing": offending.missing, "broken": offending.offends}
    sums: dict[str, Value] = {}
    for number, check in enumerate(checks):
        sums |= {f"{name}_{number}": when(fact(check, table), 1, 0).sum() for name, fact in facts.items()}
    try:
        counts = engine.fetch(table.aggregate(**sums)).to_pylist()[0]
    except CannotCompute as error:
        raise JudgeFailed("a check could not be evaluated", expected="a judgement", seen=str(error)) from error
    return {
        check.name: {name: int(counts[f"{name}_{number}"] or 0) for name in facts}
        for number, check in enumerate(checks)
    }


def _counted(check: Check, counts: Mapping[str, int]) -> CheckResult:
    counting = counts["judged"] - (0 if offending.counts_missing(check) else counts["missing"])
    passed = counting == 0 or (counting - counts["broken"]) / counting >= check.kwargs.get("mostly", 1)
    broken = 0 if passed else counts["broken"]
    return CheckResult(check.name, check.expectation, check.severity, passed, counts["judged"], broken, ())


def _offenders(table: Table, check: Check) -> Table:
    return table.filter(offending.offends(check, table))


def _documented(engine: Engine, table: Table, broken: Sequence[Check]) -> pa.Table:
    """The first rows that break each check, and in a column of its own for each check whether they break it."""
    places = [_offenders(table, check).select(*PLACE).order_by(list(PLACE)).limit(_DOCUMENTED_ROWS) for check in broken]
    shown = engine.keep(first_of_each(_union([table.select(*PLACE).limit(0), *places]), PLACE, PLACE))
    rows = table.semi_join(shown, list(PLACE))
    breaks = {_breaks(number): offending.offends(check, rows) for number, check in enumerate(broken)}
    return engine.fetch(rows.mutate(**breaks).order_by(list(PLACE)))


def _breaks(number: int) -> str:
    return f"breaks_{number}"


def _examples(documented: pa.Table, check: Check, number: int) -> tuple[str, ...]:
    first = documented.filter(documented[_breaks(number)]).slice(0, EXAMPLES)
    return tuple(map(_example, first[check.kwargs["column"]].to_pylist()))


def _document(
    rows: pa.Table, checks: Sequence[Check], results: Mapping[str, CheckResult], title: str, judge_of_rows: Judge
) -> None:
    """Let Great Expectations judge some of the rows that break checks, and document what it finds."""
    notes = {name: f"{name}: {result.broken} of {result.judged} rows break it" for name, result in results.items()}
    broken = [check for check in checks if results[check.name].broken or "mostly" not in check.kwargs]
    found = judge_of_rows.judge(rows, [_of_all_rows(check) for check in broken], title, notes)
    _agree([results[check.name] for check in broken], found)
    if few := [check for check in checks if check not in broken]:
        judge_of_rows.judge(rows.slice(0, 0), few, f"{title}-few", notes)


def _of_all_rows(check: Check) -> Check:
    """The check without a share of rows that may break it: it is to judge rows of which all do."""
    return replace(check, kwargs={name: value for name, value in check.kwargs.items() if name != "mostly"})


def _agree(results: Sequence[CheckResult], found: Sequence[Found]) -> None:
    """Two ways to judge the same rows must not differ."""
    for result, judgement in zip(results, found, strict=True):
        if bool(result.broken) != bool(judgement.rows):
            raise JudgeFailed(
                f"check {result.name} ({result.expectation}) was judged in two ways",
                expected=f"{result.broken} rows that break it",
                seen=f"{len(judgement.rows)} among those that Great Expectations was given",
            )


def _example(value: Any) -> str:
    return (value.isoformat() if isinstance(value, datetime) else str(value))[:80]


def _judge_day(
    engine: Engine, rows: Table, checks: Sequence[Check], title: str, judge_of_rows: Judge
) -> dict[str, CheckResult]:
    """Checks of the day's numbers: a table of one row has the number as its minimum, mean and sum."""
    results = {}
    for check in checks:
        number = rows.aggregate(**{check.kwargs["column"]: offending.of_the_day(check, rows)})
        (found,) = judge_of_rows.judge(engine.fetch(number), [check], f"{title}-{check.name}")
        results[check.name] = _result(check, found, 0)
    return results


def _union(tables: Sequence[Table]) -> Table:
    return reduce(lambda one, other: one.union(other), tables)
