"""What Airflow adds to a retrain, and what a rerun costs when nothing has changed.

A stack of its own is started below a temporary folder, its recipe frozen: no release takes processors from what is
measured. One day is retrained by the DAG, then again with nothing changed, then by the same stages called one after the
other without Airflow, every one computed afresh.
"""

import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from demo.airflow_runs import Runs
from demo.relevance.shop import RelevanceShop
from demo.screen import Screen
from host.stack import Ports, Stack
from recflow.rollout.operations import freeze
from recflow.wiring import build_services

RERUN_TARGET_S = 20
OVERHEAD_TARGET_PERCENT = 15
RECIPE = RelevanceShop.line


def measure(quick: bool) -> list[dict[str, Any]]:
    """Seconds of a rerun without change, and Airflow's share of a run's time in percent; `quick` changes nothing."""
    del quick
    with tempfile.TemporaryDirectory(prefix="recflow-bench-") as folder:
        home = Path(folder)
        shop = RelevanceShop(home, datetime.now(UTC).date())
        shop.open()
        stack = Stack(home, recipes=shop.recipes, source_root=home, ports=Ports.free())
        os.environ.update(stack.environment())
        freeze(RECIPE, build_services().ledger, person="benchmark", reason="nothing runs beside the stages")
        stack.start()
        try:
            return _measure(stack, shop)
        finally:
            stack.stop()


def _measure(stack: Stack, shop: RelevanceShop) -> list[dict[str, Any]]:
    day = shop.days[0].isoformat()
    first, rerun = (_run_s(stack, day, title) for title in ("retrain", "rerun"))
    began = time.perf_counter()
    rows = _without_airflow(day)
    plain = time.perf_counter() - began
    return [
        {
            "name": "retrain_rerun", "value": rerun, "unit": "s", "against": f"{first:.0f} s when everything is new",
            "target": RERUN_TARGET_S, "better": "lower", "rows": rows,
        },
        {
            "name": "orchestration_overhead", "value": 100 * (first - plain) / first, "unit": "%",
            "against": f"the same stages without Airflow, {plain:.0f} s of {first:.0f} s",
            "target": OVERHEAD_TARGET_PERCENT, "better": "lower", "rows": rows,
        },
    ]  # fmt: skip


def _run_s(stack: Stack, day: str, title: str) -> float:
    """Run the retrain of a day; seconds from being queued to its end, as Airflow recorded them."""
    dag_id = f"{RECIPE}__retrain"
    Runs(stack.airflow, Screen()).run(dag_id, {"day": day}, title)
    (run,) = stack.airflow.api("GET", f"/dags/{dag_id}/dagRuns?order_by=-run_after&limit=1")["dag_runs"]
    queued, ended = (datetime.fromisoformat(run[name]) for name in ("queued_at", "end_date"))
    return (ended - queued).total_seconds()


def _without_airflow(day: str) -> int:
    """The retrain's stages in order, light ones here and heavy ones as jobs, as the operators do it; the rows."""
    from recflow.domain.intervals import day_interval
    from recflow.wiring import STAGES, finish_stage, pin_parent_of, run_stage, stage_call

    services = build_services()
    recipe = services.recipe(RECIPE)
    interval = day_interval(day, recipe.schedule.timezone)
    found = {"parent": pin_parent_of(services, recipe, interval)}
    names = {
        "validate_partition": "partition", "build_dataset": "dataset", "fine_tune": "checkpoint",
        "compress": "model", "package": "package", "offline_gate": "decision",
    }  # fmt: skip
    for stage, name in names.items():
        spec = STAGES[stage].spec
        wanted = ["parent", "partition"] if stage == "build_dataset" else [key for key in spec.inputs if key in found]
        call = stage_call(services, stage, recipe, interval, {key: found[key] for key in wanted}, fresh="benchmark")
        if spec.heavy:
            found[name] = _job(services, call)
        else:
            found[name] = finish_stage(services, call, run_stage(services, call))
    return int(str(found["partition"].numbers["rows"]))


def _job(services: Any, call: Any) -> Any:
    from recflow.protocols import JobState
    from recflow.wiring import collect_job, submit_stage

    submit_stage(services, call)
    while services.launcher.poll(call.job_name).state is JobState.RUNNING:
        time.sleep(0.1)
    return collect_job(services, call.job_name)
