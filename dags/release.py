"""Release: a candidate's way to every shopper, or back.

**When**: woken by a candidate; by hand at any time. It reads the ledger, so a lost or doubled wake-up changes nothing.

**What**: `claim_candidate` opens the release. `infra_check` loads it on the real server and compares golden answers,
latency and memory, before any shopper. `approval` waits for a person where the plan asks for one. `shadow` mirrors
requests whose answers nobody sees. Each `canary_…_percent` serves a share of users beside an equal control.
`online_gate` judges two halves by the users' behaviour. `promote` moves everybody, once every gateway has said so. The
last task that ran tells the end: `promoted`, `rolled_back`, `held`, `not_released` or `measured` (an A/A).

**If a person stops it**: a paused DAG stands still on the way forward and never on a way back, which the watch walks;
`recflow release freeze RECIPE` is the way to stop everything. A run that was marked, deleted, or cleared loses nothing:
the ledger knows the release, and the watch starts one run for it. A run ends when its release is held; once it is
resumed it gets another.

**If it stops**: `held` means that a person must look (`recflow release status RECIPE` says why); every failure on the
way rolls back by itself. `recflow release rollback RECIPE` is safe at any time, but for a held return: its card says
`resume`.
"""

from datetime import datetime, timedelta

from airflow.sdk import DAG, Asset

from recflow_airflow.recipes import model_lines
from recflow_airflow.release_operators import ClaimCandidateOperator, ReleaseEndOperator, ReleaseStepOperator


def steps(plan):
    """Task name, the states it stands for, and the canary step, in the order of the plan."""
    yield "infra_check", ("packaged", "checked"), None
    yield "approval", ("awaiting_approval",), None
    yield "shadow", ("shadow",), None
    for number, canary in enumerate(plan.canary):
        yield f"canary_{canary.percent:g}_percent".replace(".", "_"), ("canary",), number
    yield "online_gate", ("judging",), None
    yield "promote", ("shadow", "canary", "judging", "promoting", "rolling_back"), None


ENDS = {
    "promoted": ("stable",),
    "rolled_back": ("rolled_back",),
    "held": ("held",),
    "not_released": ("rejected", "superseded", "aborted"),
    "measured": ("measured",),
}


def release(recipe):
    """The release DAG of one recipe."""
    with DAG(
        f"{recipe.name}__release",
        description=f"Carry the newest candidate of {recipe.name} to stable, or back",
        schedule=[Asset(name=f"{recipe.name}_candidate", uri=f"recflow://{recipe.name}/candidate")],
        start_date=datetime.combine(recipe.schedule.first_day, datetime.min.time()),
        catchup=False,
        max_active_runs=1,
        doc_md=__doc__,
        tags=["release", *recipe.tags],
        default_args={
            "owner": recipe.owner,
            "recipe": recipe.name,
            "retries": 10,
            "retry_delay": timedelta(seconds=30),
        },
    ) as dag:
        claimed = ClaimCandidateOperator(task_id="claim_candidate")
        before = claimed
        for name, states, number in steps(recipe.rollout):
            task = ReleaseStepOperator(task_id=name, release_id=claimed.output, states=states, step=number)
            before >> task
            before = task
        for name, states in ENDS.items():
            before >> ReleaseEndOperator(task_id=name, release_id=claimed.output, states=states)
    return dag


for _recipe in model_lines():
    globals()[f"{_recipe.name}__release"] = release(_recipe)
