"""validate_partition: the events of an interval, cleaned and judged, become rows.parquet and quarantine.parquet."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.dataset as ds

from recflow.artifacts.manifests import Interval
from recflow.artifacts.refs import Ref
from recflow.config.recipe import Recipe
from recflow.config.sections.data import DataSection
from recflow.config.sections.recent import RecentSection
from recflow.data.checks import DayFacts, built_in_checks, day_facts, recipe_checks, with_evidence
from recflow.data.clean import Cleaned, as_kept, clean
from recflow.data.docs import write_index
from recflow.data.judge import CheckResult, judge
from recflow.data.pins import deliver_pinned
from recflow.data.profile import PROFILE, Profile, profile_rows
from recflow.data.quarantine import PutAside, put_aside
from recflow.data.recent import PastDay, judge_against, many_times, past_days, plainly_broken, report_of, warn
from recflow.data.refusals import Findings, Refusal
from recflow.data.released import Released, ReleasedHistory
from recflow.data.rows import CARRIED, COLUMNS, DAMAGE, PLACE, QUARANTINE, ROWS
from recflow.data.sources import Delivery, open_source
from recflow.data.systematic import count_loss, systematic_loss
from recflow.engine import Engine, OpenEngine, Table
from recflow.engine.expressions import float32, in_utc, int32
from recflow.errors import BadData, PermanentError
from recflow.protocols import EventLog
from recflow.stages import StageContext, StageOutput

_TOP_REASONS = 5
_COUNTED = ("rows", "rows_in", "quarantined", "warnings", "duplicates", "released_rows")


def run(context: StageContext, *, engine: OpenEngine, events: EventLog | None = None) -> StageOutput:
    """Read, clean, judge, quarantine; Data Docs beside. A refused day gives all that was found of it.

    `events` is the log that a gateway_log source reads.
    """
    recipe, label, pinned = context.recipe, context.interval.label, context.one("source")
    source = open_source(recipe, pinned.uri, events)
    acts = _released(context, pinned)
    findings = Findings([name for act in acts for name in act.refusals], {"note": source.note})
    with TemporaryDirectory(dir=context.output.parent, prefix="delivered-") as folder, findings.looking():
        delivery = deliver_pinned(source, pinned, context.interval, Path(folder))
        past = past_days(context.artifacts, context.inputs.get("past", ()))
        findings.refuse(*_size(delivery.records, past, recipe.data, label))
        with engine(Path(folder)) as opened:
            validate_delivery(opened, delivery, recipe, context.interval, context.output, findings, acts, past)
    report = findings.close() | {"released": _told(acts, findings, pinned)}
    refused = findings.error(recipe.name, label)
    try:
        _document(context.output, report, f"{recipe.name} {label}")
    except OSError:
        if refused is None:
            raise
    return StageOutput(_numbers(report), refused=refused)


def _released(context: StageContext, pinned: Ref) -> list[Released]:
    """What a person released of this delivery."""
    if not context.inputs.get("released"):
        return []
    history = ReleasedHistory(context.artifacts.store, context.recipe.name)
    return history.read(context.interval.label, pinned.digest, context.one("released"))


def _told(acts: Sequence[Released], findings: Findings, pinned: Ref) -> dict[str, Any]:
    """Who released what and why, and how much was released for other deliveries and counts no more."""
    by = [act.model_dump(mode="json", include={"seq", "at", "person", "because"}) | {"what": act.what} for act in acts]
    others = pinned.numbers.get("released_of_other_deliveries", 0)
    return {"rows": findings.report.get("released_rows", 0), "by": by, "of_other_deliveries": others}


def _document(output: Path, report: Mapping[str, Any], title: str) -> None:
    if "quarantined" not in report:
        _remove(output / QUARANTINE)  # half of it may have been written
    (output / "validation.json").write_text(json.dumps(report, ensure_ascii=False, indent=1))
    write_index(output / "data_docs", title, report)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _numbers(report: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {name: report[name] for name in _COUNTED if name in report}
    refusals = [refusal["name"] for refusal in report["refusals"]]
    return numbers | ({"refusals": refusals} if refusals else {})


def validate_delivery(
    engine: Engine,
    delivery: Delivery,
    recipe: Recipe,
    interval: Interval,
    output: Path,
    findings: Findings,
    acts: Sequence[Released] = (),
    past: Sequence[PastDay] = (),
) -> None:
    """Rows and quarantine as Parquet in `output`, profile and Data Docs beside; `findings` takes up what is found.

    Of a refused day no rows are kept. `acts` are what a person released of this delivery, `past` the days before.
    """
    section, label = recipe.data, interval.label
    delivered = engine.read(delivery.files)
    cleaned = clean(engine, delivered, label, section)
    findings.refuse(*cleaned.refusals)
    facts = day_facts(engine, cleaned.rows, recipe)
    checks = [*built_in_checks(facts, interval, recipe), *recipe_checks(section.checks)]
    evidence = with_evidence(engine, cleaned.rows, interval, recipe)
    verdict = judge(engine, evidence, checks, f"{recipe.name}-{label}", output / "data_docs")
    findings.report |= _report(cleaned, facts, verdict.results)
    aside = put_aside(engine, cleaned.rows, verdict.broken, acts)
    findings.report["released_rows"] = aside.released
    findings.refuse(*_checks_of_the_day(verdict.results, label), *_too_many_bad(aside, findings.report, section, label))
    findings.refuse(systematic_loss(count_loss(engine, cleaned.rows, aside.rows), cleaned.rows_in, label))
    as_delivered = as_kept(delivered, section.cleaning)
    findings.report["quarantined"] = _write_quarantine(engine, output, as_delivered, aside)
    if not findings.refusals:
        findings.report["rows"] = _write_rows(engine, output, cleaned.rows, aside)
        _refuse_loss(findings.report, delivery, label)
        profile = profile_rows(engine, output / ROWS, interval, recipe.schedule.timezone, findings.report)
        (output / PROFILE).write_text(profile.model_dump_json())
        _compare(profile, past, section.recent, findings, output)


def _compare(
    profile: Profile, past: Sequence[PastDay], section: RecentSection, findings: Findings, output: Path
) -> None:
    """Tell what is unlike the days before; a day of which something is plainly broken keeps its profile only."""
    known = [day.profile for day in past if day.profile]
    found = judge_against(profile, known, section)
    findings.report["recent"] = report_of(found, known, section)
    findings.report["warnings"] += warn(found, profile.label)
    if broken := plainly_broken(found, profile.label):
        findings.refuse(Refusal("unlike_the_past", broken))
    if findings.refusals:
        _remove(output / ROWS)
        del findings.report["rows"]


def _size(rows: int, past: Sequence[PastDay], section: DataSection, label: str) -> Iterator[Refusal]:
    if 0 < rows < section.min_rows:
        error = BadData(f"{label} is too small", expected=f"at least {section.min_rows} rows", seen=f"{rows} rows")
        yield Refusal("too_small", error)
    if too_many := many_times(rows, label, past, section.recent):
        yield Refusal("too_many_rows", too_many)


def _reasons(results: Sequence[CheckResult]) -> dict[str, int]:
    """The rows refused for each reason, the commonest first."""
    blocking = {result.name: result.broken for result in results if result.severity == "blocking"}
    return {name: broken for name, broken in sorted(blocking.items(), key=lambda item: -item[1]) if broken}


def _checks_of_the_day(results: Sequence[CheckResult], label: str) -> Iterator[Refusal]:
    for result in results:
        if result.of_the_day and result.severity == "blocking":
            what = f"{label} fails {result.name}, a check of the whole day"
            yield Refusal(result.name, BadData(what, expected=result.expectation, seen=result.observed or "not met"))


def _too_many_bad(aside: PutAside, report: Mapping[str, Any], section: DataSection, label: str) -> Iterator[Refusal]:
    rows = report["rows_in"] - report["duplicates"]
    if aside.count > section.max_quarantined_share * rows:
        error = BadData(
            f"{label} has {aside.count} bad rows of {rows}",
            expected=f"at most {section.max_quarantined_share:.0%} in quarantine",
            seen=", ".join(f"{name} {count}" for name, count in [*report["reasons"].items()][:_TOP_REASONS]),
        )
        # Of a day that is all bad nothing is left that a partition could hold.
        yield Refusal("too_many_bad_rows", error, acceptable=aside.count < rows)


def _write_rows(engine: Engine, output: Path, rows: Table, aside: PutAside) -> int:
    kept = rows.anti_join(aside.rows, PLACE)
    typed = {name: kept[name] for name in (*COLUMNS, *CARRIED)} | {
        "at": in_utc(kept["at"]),
        "position": int32(kept.position.fill_null(0)),
        "grade": float32(kept.grade),
        "value": float32(kept.value),
    }
    engine.write(kept.select(**typed), output / ROWS)
    return _written(output / ROWS)


def _write_quarantine(engine: Engine, output: Path, delivered: Table, aside: PutAside) -> int:
    rows = delivered.inner_join(aside.rows, PLACE)
    columns = (*PLACE, *COLUMNS, *CARRIED, DAMAGE, "reasons", "releasable")
    engine.write(rows.select(*columns), output / QUARANTINE)
    return _written(output / QUARANTINE)


def _report(cleaned: Cleaned, facts: DayFacts, results: Sequence[CheckResult]) -> dict[str, Any]:
    return {
        "rows_in": cleaned.rows_in,
        "duplicates": cleaned.duplicates,
        "warnings": sum(result.broken for result in results if result.severity == "warning"),
        "mended": cleaned.mended,
        "rules": [rule.model_dump() for rule in cleaned.rules],
        "reasons": _reasons(results),
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
