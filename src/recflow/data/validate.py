"""validate_partition: the events of an interval, cleaned and judged, become rows.parquet and quarantine.parquet."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.dataset as ds

from recflow.artifacts.manifests import Interval
from recflow.config.recipe import Recipe
from recflow.config.sections.data import DataSection
from recflow.config.sections.recent import RecentSection
from recflow.data.checks import DayFacts, built_in_checks, day_facts, recipe_checks, with_evidence
from recflow.data.clean import Cleaned, as_kept, clean
from recflow.data.judge import CheckResult, Verdict, judge
from recflow.data.pins import deliver_pinned
from recflow.data.profile import PROFILE, Profile, profile_rows
from recflow.data.recent import PastDay, judge_against, many_times, past_days, plainly_broken, report_of, warn
from recflow.data.rows import CARRIED, COLUMNS, DAMAGE, PLACE
from recflow.data.sources import Delivery, open_source
from recflow.data.systematic import count_loss, refuse_systematic_loss
from recflow.engine import Engine, OpenEngine, Table
from recflow.engine.expressions import float32, in_utc, int32
from recflow.errors import BadData, PermanentError
from recflow.protocols import EventLog
from recflow.stages import StageContext, StageOutput

_TOP_REASONS = 5


def run(context: StageContext, *, engine: OpenEngine, events: EventLog | None = None) -> StageOutput:
    """Read, clean, judge, quarantine; Data Docs beside. BadData when the day as a whole is refused.

    `events` is the log that a gateway_log source reads.
    """
    pinned = context.one("source")
    source = open_source(context.recipe, pinned.uri, events)
    with TemporaryDirectory(dir=context.output.parent, prefix="delivered-") as folder:
        delivery = deliver_pinned(source, pinned, context.interval, Path(folder))
        past = past_days(context.artifacts, context.inputs.get("past", ()))
        _refuse_size(delivery.records, past, context.recipe.data, context.interval.label)
        with engine(Path(folder)) as opened:
            report = validate_delivery(opened, delivery, context.recipe, context.interval, context.output, past)
            report["note"] = source.note
    (context.output / "validation.json").write_text(json.dumps(report, ensure_ascii=False, indent=1))
    return StageOutput(
        numbers={name: report[name] for name in ("rows", "rows_in", "quarantined", "warnings", "duplicates")}
    )


def validate_delivery(
    engine: Engine,
    delivery: Delivery,
    recipe: Recipe,
    interval: Interval,
    output: Path,
    past: Sequence[PastDay] = (),
) -> dict[str, Any]:
    """Rows and quarantine as Parquet in `output`, Data Docs and profile beside, and the report of what was found."""
    section, label = recipe.data, interval.label
    delivered = engine.read(delivery.files)
    cleaned = clean(engine, delivered, label, section)
    facts = day_facts(engine, cleaned.rows, recipe)
    checks = [*built_in_checks(facts, interval, recipe), *recipe_checks(section.checks)]
    evidence = with_evidence(engine, cleaned.rows, interval, recipe)
    verdict = judge(engine, evidence, checks, f"{recipe.name}-{label}", output / "data_docs")
    reasons = _reasons(verdict)
    _refuse_day(verdict.results, engine.count(verdict.refused), reasons, cleaned, section, label)
    refuse_systematic_loss(count_loss(engine, cleaned.rows, verdict.refused), cleaned.rows_in, label)
    _write(engine, output, as_kept(delivered, section.cleaning), cleaned.rows, verdict.refused)
    report = _report(output, cleaned, facts, verdict.results, reasons)
    _refuse_loss(report, delivery, label)
    profile = profile_rows(engine, output / "rows.parquet", interval, recipe.schedule.timezone, report)
    (output / PROFILE).write_text(profile.model_dump_json())
    return report | _recent(profile, past, section.recent, report["warnings"])


def _recent(profile: Profile, past: Sequence[PastDay], section: RecentSection, warnings: int) -> dict[str, Any]:
    """What the report says of the day beside the days before it; BadData when something is plainly broken."""
    known = [day.profile for day in past if day.profile]
    findings = judge_against(profile, known, section)
    if broken := plainly_broken(findings, profile.label):
        raise broken
    return {"recent": report_of(findings, known, section), "warnings": warnings + warn(findings, profile.label)}


def _refuse_size(rows: int, past: Sequence[PastDay], section: DataSection, label: str) -> None:
    if 0 < rows < section.min_rows:
        raise BadData(f"{label} is too small", expected=f"at least {section.min_rows} rows", seen=f"{rows} rows")
    if too_many := many_times(rows, label, past, section.recent):
        raise too_many


def _reasons(verdict: Verdict) -> dict[str, int]:
    """The rows refused for each reason, the commonest first."""
    blocking = {result.name: result.broken for result in verdict.results if result.severity == "blocking"}
    return {name: broken for name, broken in sorted(blocking.items(), key=lambda item: -item[1]) if broken}


def _refuse_day(
    results: Sequence[CheckResult],
    quarantined: int,
    reasons: Mapping[str, int],
    cleaned: Cleaned,
    section: DataSection,
    label: str,
) -> None:
    failed = [result for result in results if result.of_the_day and result.severity == "blocking"]
    if failed:
        seen = "; ".join(f"{result.name}: {result.observed or 'not met'}" for result in failed[:_TOP_REASONS])
        raise BadData(f"{label} fails {len(failed)} checks of the whole day", expected="none", seen=seen)
    rows = cleaned.rows_in - cleaned.duplicates
    if quarantined > section.max_quarantined_share * rows:
        raise BadData(
            f"{label} has {quarantined} bad rows of {rows}",
            expected=f"at most {section.max_quarantined_share:.0%} in quarantine",
            seen=", ".join(f"{name} {count}" for name, count in [*reasons.items()][:_TOP_REASONS]),
        )


def _write(engine: Engine, output: Path, delivered: Table, rows: Table, refused: Table) -> None:
    kept = rows.anti_join(refused, PLACE)
    typed = {name: kept[name] for name in (*COLUMNS, *CARRIED)} | {
        "at": in_utc(kept["at"]),
        "position": int32(kept.position.fill_null(0)),
        "grade": float32(kept.grade),
        "value": float32(kept.value),
    }
    engine.write(kept.select(**typed), output / "rows.parquet")
    quarantine = delivered.inner_join(refused, PLACE).select(*PLACE, *COLUMNS, *CARRIED, DAMAGE, "reasons")
    engine.write(quarantine, output / "quarantine.parquet")


def _report(
    output: Path, cleaned: Cleaned, facts: DayFacts, results: Sequence[CheckResult], reasons: Mapping[str, int]
) -> dict[str, Any]:
    return {
        "rows_in": cleaned.rows_in,
        "rows": _written(output / "rows.parquet"),
        "quarantined": _written(output / "quarantine.parquet"),
        "duplicates": cleaned.duplicates,
        "warnings": sum(result.broken for result in results if result.severity == "warning"),
        "mended": cleaned.mended,
        "rules": [rule.model_dump() for rule in cleaned.rules],
        "reasons": reasons,
        "kinds": {str(kind): rows for kind, rows in facts.kinds.items() if kind is not None},
        "checks": [_check_report(result) for result in results],
    }


def _written(path: Path) -> int:
    return int(ds.dataset(path).count_rows())


def _refuse_loss(report: Mapping[str, Any], delivery: Delivery, label: str) -> None:
    kept, quarantined, duplicates = (report[name] for name in ("rows", "quarantined", "duplicates"))
    if delivery.records != kept + quarantined + duplicates:
        raise PermanentError(
            f"rows of {label} were lost or doubled on the way",
            expected=f"{delivery.records} records read",
            seen=f"{kept} kept + {quarantined} in quarantine + {duplicates} duplicates",
        )


def _check_report(result: CheckResult) -> dict[str, Any]:
    return asdict(result) | {"examples": list(result.examples)}
