"""Retrain: yesterday's events become a candidate, or a reason why not.

**When**: every day, for the day before; by hand for any day (`day`); as a backfill for past days, which releases
nothing and has a pool of its own. Run a backfill's days one after another (`--max-active-runs 1`): each day trains on
the days before it. Airflow ends a range at 00:00 of its last date: with a schedule at 02:00 name one date more, or the
last day is left out. Days before the recipe's `first_day` are refused, and days that its `schedule` calls closed are
skipped.

**What**: `pin_parent` fixes the model to start from and to beat; it is skipped, and the training with it, while the
line stands still: a change of its recipe was refused too often (`recflow release status RECIPE`).
`validate_partition` cleans and checks the day, and puts bad rows aside with their reasons. `validate_redelivered` looks
at the days before it (`schedule.lookback_days`) and validates those again that were delivered anew; a delivery that is
refused leaves the old partition current, sends a card and stops nothing. `build_dataset` labels and splits.
`fine_tune` trains, `compress` makes the smallest form that still agrees with what was trained, `package` lays it out
for Triton with the recipe's post-processing, `offline_gate` judges what that package answers against the serving one
and the permanent floors. `record_candidate` writes a candidate that passed into the ledger and wakes the release. What
computes is a job beside Airflow: its task waits deferred, and a retry meets the same job.

**If a task is red**: the message says what happened, what happens next and what to do, and ends with its runbook.
The model that serves now goes on serving. After mending the cause, clear the task: finished stages are not computed
again. A red *gate* is not a red task: it is a decision, written in the task's result.
"""

from airflow.sdk import DAG, Asset

from recflow_airflow.daily import daily, every_day
from recflow_airflow.recipes import model_lines
from recflow_airflow.stage_operators import (
    PinParentOperator,
    RecordCandidateOperator,
    RedeliveredOperator,
    StageOperator,
)


def retrain(recipe):
    """The daily DAG of one recipe."""
    with DAG(
        f"{recipe.name}__retrain",
        description=f"Fine-tune and judge {recipe.name} on the newest day",
        schedule=every_day(recipe),
        doc_md=__doc__,
        tags=["retrain", *recipe.tags],
        **daily(recipe),
    ) as dag:
        parent = PinParentOperator(task_id="pin_parent").output
        partition = StageOperator(stage="validate_partition").output
        build = StageOperator(stage="build_dataset", upstream={"parent": parent, "partition": partition})
        RedeliveredOperator() >> build
        dataset = build.output
        checkpoint = StageOperator(stage="fine_tune", upstream={"parent": parent, "dataset": dataset}).output
        model = StageOperator(stage="compress", upstream={"checkpoint": checkpoint, "dataset": dataset}).output
        package = StageOperator(stage="package", upstream={"model": model}).output
        decision = StageOperator(
            stage="offline_gate", upstream={"package": package, "parent": parent, "dataset": dataset}
        ).output
        RecordCandidateOperator(
            refs={"package": package, "checkpoint": checkpoint, "decision": decision},
            outlets=[Asset(name=f"{recipe.name}_candidate", uri=f"recflow://{recipe.name}/candidate")],
        )
    return dag


for _recipe in model_lines():
    globals()[f"{_recipe.name}__retrain"] = retrain(_recipe)
