"""Great Expectations as the judge of a day: runs the checks, gives back which rows broke which, writes Data Docs."""

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from recflow.data.checks import Check
from recflow.errors import BadConfiguration, JudgeFailed

_EXAMPLES = 5
_COUNTED_LOGO = re.compile(r"https://great-expectations-web-assets[^\"')]*")


@dataclass(frozen=True)
class CheckResult:
    """What one check found: the rows that broke it, or, for a check of the whole day, only that it failed."""

    name: str
    expectation: str
    severity: Literal["blocking", "warning"]
    passed: bool
    judged: int
    rows: tuple[int, ...]
    examples: tuple[str, ...]
    observed: str = ""

    @property
    def of_the_day(self) -> bool:
        """Whether the day as a whole failed, so that no row can be put aside for it."""
        return not self.passed and not self.rows


def judge(rows: pd.DataFrame, checks: Sequence[Check], title: str, docs: Path) -> list[CheckResult]:
    """Results in the order of `checks`; Data Docs as static HTML in the folder `docs`.

    `rows` has a column `row` that numbers them. Raises BadConfiguration for a check that cannot be stated, and
    JudgeFailed when a check could not be evaluated: that says nothing about the data.
    """
    # Imported beside Airflow it prints hundreds of lines about its own decorators; and it would tell its makers of use.
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    with tempfile.TemporaryDirectory(prefix="expectations-") as scratch:
        context = gx.get_context(mode="file", project_root_dir=scratch)
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_or_update_pandas("events").add_dataframe_asset("rows")
        _refuse_same_names(checks)
        expectations = [_expectation(check, rows) for check in checks]
        suite = context.suites.add(gx.ExpectationSuite(name=title, expectations=expectations))
        definition = gx.ValidationDefinition(
            name=title, data=asset.add_batch_definition_whole_dataframe("day"), suite=suite
        )
        checkpoint = context.checkpoints.add(
            gx.Checkpoint(
                name=title,
                validation_definitions=[context.validation_definitions.add(definition)],
                actions=[gx.checkpoint.UpdateDataDocsAction(name="data_docs")],
                result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["row"]},
            )
        )
        outcome = checkpoint.run(batch_parameters={"dataframe": rows})
        shutil.copytree(Path(scratch) / "gx" / "uncommitted" / "data_docs" / "local_site", docs)
    _keep_at_home(docs)
    (results,) = outcome.run_results.values()
    found = {result.expectation_config.meta["check"]: result.to_json_dict() for result in results.results}
    return [_read(check, found[check.name]) for check in checks]


def _keep_at_home(docs: Path) -> None:
    """Point the pages' logo, by which each reader's visit would be counted elsewhere, at the copy beside them."""
    for page in docs.rglob("*.html"):
        root = "../" * (len(page.relative_to(docs).parts) - 1)
        text = page.read_text(encoding="utf-8")
        page.write_text(_COUNTED_LOGO.sub(f"{root}static/images/logo-long.png", text), encoding="utf-8")


def _refuse_same_names(checks: Sequence[Check]) -> None:
    names = [check.name for check in checks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadConfiguration("checks share a name", expected="a name for each check", seen=", ".join(twice))


def _expectation(check: Check, rows: pd.DataFrame) -> Any:
    import great_expectations as gx
    from great_expectations.expectations.row_conditions import Column

    name = "".join(part.title() for part in check.expectation.split("_"))
    kind = getattr(gx.expectations, name, None)
    column = check.kwargs.get("column")
    if kind is None or (column is not None and column not in rows.columns):
        raise BadConfiguration(
            f"check {check.name} cannot be stated",
            expected="an expectation of Great Expectations on a column of the partition",
            seen=f"{check.expectation} on {column}",
        )
    options: dict[str, Any] = {"severity": "critical" if check.severity == "blocking" else "warning"}
    if check.kinds:
        options["row_condition"] = Column("kind").is_in(list(check.kinds))
    try:
        return kind(**check.kwargs, **options, meta={"check": check.name}, notes=check.name)
    except (TypeError, ValueError) as error:
        raise BadConfiguration(
            f"check {check.name} cannot be stated", expected="its options", seen=str(error)
        ) from error


def _read(check: Check, result: dict[str, Any]) -> CheckResult:
    _refuse_broken(check, result.get("exception_info") or {})
    details = result["result"]
    broken = details.get("unexpected_index_list") or []
    return CheckResult(
        name=check.name,
        expectation=check.expectation,
        severity=check.severity,
        passed=bool(result["success"]),
        judged=int(details.get("element_count") or 0),
        rows=tuple(int(place["row"]) for place in broken) if not result["success"] else (),
        examples=tuple(str(value)[:80] for value in details.get("partial_unexpected_list", [])[:_EXAMPLES]),
        observed=str(details.get("observed_value", ""))[:200],
    )


def _refuse_broken(check: Check, info: dict[str, Any]) -> None:
    failures = [info] if "raised_exception" in info else list(info.values())
    for failure in failures:
        if failure.get("raised_exception"):
            raise JudgeFailed(
                f"check {check.name} ({check.expectation}) could not be evaluated",
                expected="a judgement",
                seen=str(failure.get("exception_message")),
            )
