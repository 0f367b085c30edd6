"""What every DAG promises, seen on the real recipes."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from recflow.artifacts.ledger import ReleaseState
from recflow.domain.reasons import LONGEST_REASON

REPOSITORY = Path(__file__).resolve().parents[3]
HEAVY = "boto3 datasets duckdb great_expectations kubernetes mlflow torch transformers tritonclient".split()

PARSE = """
import json, sys
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag
folder = Path(sys.argv[1])
bag = DagBag(folder, bundle_path=folder, bundle_name="recflow")
print("RESULT" + json.dumps({
    "errors": bag.import_errors,
    "heavy": [name for name in sys.argv[2:] if name in sys.modules],
    "dags": {
        dag.dag_id: {
            "edges": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
            "owners": sorted({task.owner for task in dag.tasks}),
            "retries": min(task.retries for task in dag.tasks),
            "tags": sorted(dag.tags),
            "doc": dag.doc_md or "",
            "longest": {name: dag.params.get_param(name).schema.get("maxLength") for name in dag.params},
        }
        for dag in bag.dags.values()
    },
}))
"""


@pytest.fixture(scope="module")
def parsed():
    """The DAG folder, parsed once in a process of its own, so that what it imports can be seen."""
    return parse()


def parse(**environment):
    command = [sys.executable, "-c", PARSE, str(REPOSITORY / "dags"), *HEAVY]
    env = os.environ | environment
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY, env=env)
    return json.loads(done.stdout.rpartition("RESULT")[2])


def test_every_dag_file_parses(parsed):
    assert parsed["errors"] == {}


def test_parsing_imports_nothing_heavy(parsed):
    assert parsed["heavy"] == []


def test_every_dag_has_owner_tags_retries_and_a_page_for_the_person_on_call(parsed):
    for name, dag in parsed["dags"].items():
        assert dag["owners"], name
        assert dag["owners"] != ["airflow"], name
        assert dag["tags"], name
        assert dag["retries"] >= 1, name
        assert "red" in dag["doc"] or "stops" in dag["doc"], name


def test_the_retrain_dag_is_the_loop(parsed):
    assert parsed["dags"]["search_relevance__retrain"]["edges"] == {
        "pin_parent": ["build_dataset", "fine_tune", "offline_gate"],
        "validate_partition": ["build_dataset"],
        "validate_redelivered": ["build_dataset"],
        "build_dataset": ["compress", "fine_tune", "offline_gate"],
        "fine_tune": ["compress", "record_candidate"],
        "compress": ["package"],
        "package": ["offline_gate", "record_candidate"],
        "offline_gate": ["record_candidate"],
        "record_candidate": [],
    }


def test_a_reason_to_compute_again_fits_into_a_manifest(parsed):
    assert parsed["dags"]["search_relevance__retrain"]["longest"]["fresh"] == LONGEST_REASON


def test_the_release_dag_follows_the_plan_of_its_recipe(parsed):
    edges = parsed["dags"]["search_relevance__release"]["edges"]
    order = ["claim_candidate", "infra_check", "approval", "shadow", "canary_5_percent", "online_gate", "promote"]
    ends = ["promoted", "rolled_back", "held", "not_released", "measured"]
    assert list(edges) == order + ends
    for before, after in pairwise(order):
        assert after in edges[before]
    assert edges["promote"] == sorted(ends)


def test_every_state_that_a_release_may_end_or_stay_in_has_one_task_that_tells_it(release_ends):
    told = [state for states in release_ends.values() for state in states]
    assert sorted(told) == sorted({state for state in ReleaseState if state.terminal} | {ReleaseState.HELD})


@pytest.fixture(scope="module")
def release_ends():
    code = "import json, runpy; print('RESULT' + json.dumps(runpy.run_path('dags/release.py')['ENDS']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    return json.loads(done.stdout.rpartition("RESULT")[2])


def test_watch_and_housekeeping_cover_all_recipes_in_one_dag_each(parsed):
    assert parsed["dags"]["watch"]["edges"] == {"watch": [], "start_release": [], "recipes_gone": []}
    assert parsed["dags"]["housekeeping"]["edges"] == {"clean": []}


def test_a_line_of_data_alone_has_the_dag_of_its_data_and_nothing_more(tmp_path):
    (tmp_path / "retail.yaml").write_text("name: retail\nowner: tests\ntask: none\n")
    found = parse(RECFLOW_RECIPES=str(tmp_path))
    assert found["errors"] == {}
    assert sorted(found["dags"]) == ["housekeeping", "retail__data", "watch"]
    assert found["dags"]["retail__data"]["edges"] == {"validate_partition": [], "validate_redelivered": []}
