"""validate_partition: the events of an interval, cleaned and judged, become rows.parquet and quarantine.parquet."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recflow.artifacts.refs import Ref
from recflow.config.sections.data import DataSection
from recflow.data.checks import built_in_checks, recipe_checks, with_evidence
from recflow.data.clean import Cleaned, clean
from recflow.data.judge import CheckResult, judge
from recflow.data.pins import deliver_pinned
from recflow.data.rows import COLUMNS, DELIVERED, PARTITION
from recflow.data.sources import Source, open_source
from recflow.errors import BadData
from recflow.protocols import EventLog
from recflow.stages import StageContext, StageOutput

_TOP_REASONS = 5


def run(context: StageContext, *, events: EventLog | None = None) -> StageOutput:
    """Read, clean, judge, quarantine; Data Docs beside. BadData when the day as a whole is refused.

    `events` is the log that a gateway_log source reads.
    """
    pinned = context.one("source")
    source = open_source(context.recipe, pinned.uri, events)
    section, label = context.recipe.data, context.interval.label
    with TemporaryDirectory(prefix="delivered-") as scratch:
        delivery = deliver_pinned(source, pinned, context.interval, Path(scratch))
        table = pa.concat_tables([pq.read_table(path, columns=list(COLUMNS)) for path in delivery.files])
    _refuse_size(table.num_rows, pinned, section, label)
    cleaned = clean(table, label, max_duplicate_share=section.max_duplicate_share)
    results = _judge(context, cleaned)
    reasons = _reasons(results, len(cleaned.rows))
    _refuse_day(results, reasons, section, label)
    _write(context.output, cleaned, reasons)
    report = _report(source, cleaned, results, reasons)
    (context.output / "validation.json").write_text(json.dumps(report, ensure_ascii=False, indent=1))
    return StageOutput(
        numbers={name: report[name] for name in ("rows", "rows_in", "quarantined", "warnings", "duplicates")}
    )


def _refuse_size(rows: int, pinned: Ref, section: DataSection, label: str) -> None:
    if 0 < rows < section.min_rows:
        raise BadData(f"{label} is too small", expected=f"at least {section.min_rows} rows", seen=f"{rows} rows")
    usual = pinned.numbers.get("usual_rows")
    if isinstance(usual, int | float) and rows > usual * section.max_rows_ratio:
        raise BadData(
            f"{label} has {rows / usual:.1f} times the usual rows",
            expected=f"at most {section.max_rows_ratio:g} times {usual:.0f}",
            seen=f"{rows} rows",
            action="look for a feed that was joined or replayed; if the day is real, raise data.max_rows_ratio",
        )


def _judge(context: StageContext, cleaned: Cleaned) -> list[CheckResult]:
    recipe = context.recipe
    rows = with_evidence(cleaned.rows, context.interval)
    checks = [*built_in_checks(rows, context.interval, recipe), *recipe_checks(recipe.data.checks)]
    return judge(rows, checks, f"{recipe.name}-{context.interval.label}", context.output / "data_docs")


def _reasons(results: Sequence[CheckResult], rows: int) -> list[list[str]]:
    reasons: list[list[str]] = [[] for _ in range(rows)]
    for result in results:
        if result.severity == "blocking":
            for row in result.rows:
                reasons[row].append(result.name)
    return reasons


def _refuse_day(
    results: Sequence[CheckResult], reasons: Sequence[Sequence[str]], section: DataSection, label: str
) -> None:
    failed = [result for result in results if result.of_the_day and result.severity == "blocking"]
    if failed:
        seen = "; ".join(f"{result.name}: {result.observed or 'not met'}" for result in failed[:_TOP_REASONS])
        raise BadData(f"{label} fails {len(failed)} checks of the whole day", expected="none", seen=seen)
    quarantined = sum(map(bool, reasons))
    if quarantined > section.max_quarantined_share * len(reasons):
        top = Counter(name for names in reasons for name in names).most_common(_TOP_REASONS)
        raise BadData(
            f"{label} has {quarantined} bad rows of {len(reasons)}",
            expected=f"at most {section.max_quarantined_share:.0%} in quarantine",
            seen=", ".join(f"{name} {count}" for name, count in top),
        )


def _write(output: Path, cleaned: Cleaned, reasons: Sequence[Sequence[str]]) -> None:
    good = pd.Series([not names for names in reasons])
    kept = cleaned.rows[good]
    whole = kept.assign(position=kept["position"].fillna(0).astype("int32"))[list(COLUMNS)]
    pq.write_table(pa.Table.from_pandas(whole, PARTITION, preserve_index=False), output / "rows.parquet")
    refused = pa.Table.from_pandas(cleaned.delivered[~good], DELIVERED, preserve_index=False)
    why = pa.array([names for names in reasons if names], pa.list_(pa.string()))
    pq.write_table(refused.append_column("reasons", why), output / "quarantine.parquet")


def _report(
    source: Source, cleaned: Cleaned, results: Sequence[CheckResult], reasons: Sequence[Sequence[str]]
) -> dict[str, Any]:
    quarantined = sum(map(bool, reasons))
    return {
        "rows_in": cleaned.rows_in,
        "rows": len(reasons) - quarantined,
        "quarantined": quarantined,
        "duplicates": cleaned.duplicates,
        "warnings": sum(len(result.rows) for result in results if result.severity == "warning"),
        "note": source.note,
        "mended": cleaned.mended,
        "reasons": dict(Counter(name for names in reasons for name in names).most_common()),
        "kinds": {str(kind): int(count) for kind, count in cleaned.rows["kind"].value_counts().items()},
        "checks": [_check_report(result) for result in results],
    }


def _check_report(result: CheckResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "expectation": result.expectation,
        "severity": result.severity,
        "passed": result.passed,
        "judged": result.judged,
        "broken": len(result.rows),
        "examples": list(result.examples),
        "observed": result.observed,
    }
