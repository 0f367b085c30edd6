"""Release: a candidate's way to every shopper, or back.

**When**: woken by a candidate; by hand at any time. It reads the ledger, so a lost or doubled wake-up changes nothing.

**What**: `claim_candidate` opens the release. `infra_check` loads it on the real server and compares golden answers,
latency and memory, before any shopper. `approval` waits for a person where the plan asks for one. `shadow` mirrors
requests whose answers nobody sees. Each `canary_…_percent` serves a share of users beside an equal control.
`online_gate` judges two halves by the users' behaviour. `promote` moves everybody, once every gateway has said so.

**If it stops**: `held` means that a person must look (`recflow release status RECIPE` says why); every failure on the
way rolls back by itself. `recflow release rollback RECIPE` is safe at any time, but for a held return: its card says
`resume`.
"""

from datetime import datetime, timedelta

from airflow.sdk import DAG, Asset

from recflow_airflow.recipes import all_recipes
from recflow_airflow.release_operators import ClaimCandidateOperator, ReleaseStepOperator


def steps(plan):
    """Task name, the states it stands for, and the canary step, in the order of the plan."""
    yield "infra_check", ("packaged", "checked"), None
    yield "approval", ("awaiting_approval",), None
    yield "shadow", ("shadow",), None
    for number, canary in enumerate(plan.canary):
        yield f"canary_{canary.percent:g}_percent".replace(".", "_"), ("canary",), number
    yield "online_gate", ("judging",), None
    yield "promote", ("shadow", "canary", "judging", "promoting", "rolling_back", "held"), None


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
    return dag


for _recipe in all_recipes():
    globals()[f"{_recipe.name}__release"] = release(_recipe)
