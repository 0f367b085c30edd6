"""Watch: what serves now still answers, fast, as it was judged.

**When**: every five minutes, over all recipes.

**What**: golden requests to every live version, error share and p95 from the gateways' log, freshness of the log, days
since the last promotion. A breach by the candidate rolls its release back; a breach by stable returns to the previous
version where there is one; everything else tells a person. The event log is compacted first. `start_release` starts a
run of the release DAG where a candidate waits, or a release goes on, and no run carries it: Airflow drops a candidate's
wake-up while the DAG is paused. `recipes_gone` tells a person of lines that serve or are being released and whose
recipe's file is gone or broken.

**If it is red**: the watch itself is broken, not the shop. The message names the runbook.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronTriggerTimetable

from recflow_airflow.recipes import model_lines
from recflow_airflow.release_operators import GoneRecipesOperator, StartReleaseOperator, WatchOperator

recipes = model_lines()

with DAG(
    "watch",
    description="Probe every live version and roll back on a breach",
    schedule=CronTriggerTimetable("*/5 * * * *", timezone="UTC"),
    start_date=datetime(2011, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["watch"],
    default_args={
        "owner": recipes[0].owner if recipes else "recflow",
        "retries": 1,
        "retry_delay": timedelta(seconds=20),
    },
) as dag:
    for operator, task_id in ((WatchOperator, "watch"), (StartReleaseOperator, "start_release")):
        operator.partial(task_id=task_id, map_index_template="{{ task.recipe }}").expand(
            recipe=[recipe.name for recipe in recipes]
        )
    GoneRecipesOperator()
