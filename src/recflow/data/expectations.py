"""Great Expectations: states checks, judges rows in memory by them, and documents both as Data Docs."""

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from recflow.data.checks import Check
from recflow.data.docs import copy_pages
from recflow.errors import BadConfiguration, JudgeFailed

EXAMPLES = 5


@dataclass(frozen=True)
class Found:
    """What one check found in the rows it was given: the numbers of those that broke it, unless it passed."""

    passed: bool
    judged: int
    rows: tuple[int, ...]
    examples: tuple[str, ...]
    observed: str


class Judge:
    """Judges tables, one after the other, of which all Data Docs tell."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._asset = context.data_sources.add_or_update_pandas("events").add_dataframe_asset("rows")

    def judge(
        self, rows: pa.Table, checks: Sequence[Check], title: str, notes: Mapping[str, str] | None = None
    ) -> list[Found]:
        """Findings in the order of `checks`; the rows are numbered from 0. `notes`, by check, stand in the Data Docs.

        Raises BadConfiguration for a check that cannot be stated, and JudgeFailed when a check could not be evaluated:
        that says nothing about the data.
        """
        import great_expectations as gx

        expectations = [_expectation(check, rows, (notes or {}).get(check.name, check.name)) for check in checks]
        definition = gx.ValidationDefinition(
            name=title,
            data=self._asset.add_batch_definition_whole_dataframe(title),
            suite=self._context.suites.add(gx.ExpectationSuite(name=title, expectations=expectations)),
        )
        checkpoint = gx.Checkpoint(
            name=title,
            validation_definitions=[self._context.validation_definitions.add(definition)],
            actions=[gx.checkpoint.UpdateDataDocsAction(name="data_docs")],
            result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["row"]},
        )
        frame = rows.to_pandas().assign(row=range(rows.num_rows))
        outcome = self._context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": frame})
        (results,) = outcome.run_results.values()
        found = {result.expectation_config.meta["check"]: result.to_json_dict() for result in results.results}
        return [_read(check, found[check.name]) for check in checks]


@contextmanager
def open_judge(docs: Path) -> Iterator[Judge]:
    """A judge whose Data Docs are in the folder `docs` at the end: HTML that stands alone."""
    # Imported beside Airflow it prints hundreds of lines about its own decorators; and it would tell its makers of use.
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    with tempfile.TemporaryDirectory(prefix="expectations-") as scratch:
        context = gx.get_context(mode="file", project_root_dir=scratch)
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        yield Judge(context)
        copy_pages(Path(scratch) / "gx" / "uncommitted" / "data_docs" / "local_site", docs)


def _expectation(check: Check, rows: pa.Table, notes: str) -> Any:
    import great_expectations as gx
    from great_expectations.expectations.row_conditions import Column

    name = "".join(part.title() for part in check.expectation.split("_"))
    kind = getattr(gx.expectations, name, None)
    column = check.kwargs.get("column")
    if kind is None or (column is not None and column not in rows.column_names):
        raise BadConfiguration(
            f"check {check.name} cannot be stated",
            expected="an expectation of Great Expectations on a column of the partition",
            seen=f"{check.expectation} on {column}",
        )
    options: dict[str, Any] = {"severity": "critical" if check.severity == "blocking" else "warning"}
    if check.kinds:
        options["row_condition"] = Column("kind").is_in(list(check.kinds))
    try:
        return kind(**check.kwargs, **options, meta={"check": check.name}, notes=notes)
    except (TypeError, ValueError) as error:
        raise BadConfiguration(
            f"check {check.name} cannot be stated", expected="its options", seen=str(error)
        ) from error


def _read(check: Check, result: dict[str, Any]) -> Found:
    _refuse_broken(check, result.get("exception_info") or {})
    details = result["result"]
    broken = details.get("unexpected_index_list") or []
    return Found(
        passed=bool(result["success"]),
        judged=int(details.get("element_count") or 0),
        rows=tuple(int(place["row"]) for place in broken) if not result["success"] else (),
        examples=tuple(str(value)[:80] for value in details.get("partial_unexpected_list", [])[:EXAMPLES]),
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
