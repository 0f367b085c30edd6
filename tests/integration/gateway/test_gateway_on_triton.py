"""`recflow gateway up` and `recflow replay` as people call them, on a real Triton server."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fakes.gateway_process import GatewayProcess, Load, Place
from fakes.local_triton import REPOSITORY
from fakes.tiny_model import write_package
from host.processes import free_ports
from recflow.artifacts.ledger import ReleaseState
from recflow.clients.triton import TritonServer
from recflow.config.settings import Settings
from recflow.domain.intervals import day_interval
from recflow.domain.judged import read_judged
from recflow.wiring import Services, finish_stage, pin_parent_of, run_stage, stage_call

NAME = "gateway_line"
RECIPE_TEXT = f"""
name: {NAME}
owner: tests
serving:
  deadline_ms: 20000    # these tests share two cores with others: nothing here may be late
data:
  source: {{adapter: gateway_log, path: shop}}
  max_requests_per_minute: 1000
labels:
  min_examined: 1
"""


@pytest.fixture
def place(tmp_path, triton):
    server = TritonServer(triton.settings)
    for version, weight in (("v1", 1.0), ("v2", 0.5)):
        server.load(NAME, version, write_package(tmp_path / version, weight=weight))
    place = Place(tmp_path / "home", NAME)
    place.adopt("v1")
    yield place
    for version in ("v1", "v2"):
        server.unload(NAME, version)


@pytest.fixture
def environment(tmp_path, triton):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / f"{NAME}.yaml").write_text(RECIPE_TEXT)
    ours = {
        "RECFLOW_HOME": str(tmp_path / "home"),
        "RECFLOW_RECIPES": str(tmp_path / "recipes"),
        "RECFLOW_SOURCE_ROOT": str(tmp_path),
        "RECFLOW_GATEWAY_URL": f"http://127.0.0.1:{free_ports(1)[0]}",
        "RECFLOW_GATEWAY_LEASE_S": "60",
    }
    return triton.environment | ours


@pytest.fixture
def gateway(place, environment):
    command = [sys.executable, "-m", "recflow.cli.main", "gateway", "up", "--workers", "2"]
    gateway = GatewayProcess(command, environment, environment["RECFLOW_GATEWAY_URL"])
    gateway.wait_until_ready()
    place.wait_for_gateways(1, 2)
    yield gateway
    assert gateway.stop() == 0
    assert place.router.acknowledged(NAME, 1).live == ()


def test_load_switch_promote_and_unload_under_traffic_fail_no_request(place, gateway, triton):
    with Load(gateway.url, users=8, recipe=NAME) as load:
        place.open_release("v2")
        for stage in (ReleaseState.SHADOW, ReleaseState.JUDGING, ReleaseState.PROMOTING, ReleaseState.STABLE):
            place.wait_for_gateways(place.move(stage), 2)
            load.wait_for(40)
        TritonServer(triton.settings).unload(NAME, "v1")
        load.wait_for(40)
    assert not load.others
    assert {answer["fallback"] for _, answer in load.answers} == {""}
    assert {answer["items"][0]["id"] for _, answer in load.answers} == {"c"}
    assert load.answers[-1][1]["version"] == "v2"
    answered = {answer["request_id"] for _, answer in load.answers}
    assert answered <= set(place.exposures()["request_id"].to_pylist())


def test_replay_fills_both_arms_and_says_what_its_numbers_are(place, gateway, environment, tmp_path):
    place.open_release("v2")
    place.move(ReleaseState.SHADOW)
    place.wait_for_gateways(place.move(ReleaseState.JUDGING), 2)
    said = replay(judged(["red shoe"]), tmp_path, environment, requests=60)
    assert said.startswith("simulated clicks on real judgements: 60 requests answered")
    shown = place.exposures()
    assert set(shown["arm"].to_pylist()) == {"treatment", "control"}
    assert set(shown["experiment"].to_pylist()) == {"rel-2:judging"}
    assert place.outcomes().num_rows > 0


def test_what_the_gateway_logged_becomes_the_next_training_set(place, gateway, environment, tmp_path):
    queries = [f"red shoe {number}" for number in range(20)]
    rows = judged(queries)
    replay(rows, tmp_path, environment, requests=200)
    today = day_interval(datetime.now(UTC).date().isoformat(), "UTC")
    write_catalogue(tmp_path / "shop" / "catalogue" / f"{today.label}.jsonl", rows)
    services = Services(
        Settings(**{name.removeprefix("RECFLOW_").lower(): value for name, value in environment.items()})
    )
    recipe = services.recipe(NAME)
    call = stage_call(services, "validate_partition", recipe, today, {})
    partition = finish_stage(services, call, run_stage(services, call))
    parent = pin_parent_of(services, recipe, today)
    call = stage_call(services, "build_dataset", recipe, today, {"parent": parent, "partition": partition})
    dataset = services.artifacts.fetch(run_stage(services, call))
    assert partition.numbers["quarantined"] == 0
    assert (
        partition.numbers["rows"] == sum(map(len, place.exposures()["items"].to_pylist())) + place.outcomes().num_rows
    )
    learned = read_judged(dataset, "train") + read_judged(dataset, "test")
    assert {query.query for query in learned} <= set(queries)
    assert any(grade > 0 for query in learned for grade in query.grades)


def judged(queries):
    """Four judged products a query."""
    goods = [("red shoe", 3.0), ("red hat", 1.0), ("tea", 0.0), ("shoe", 2.0)]
    return [
        {"kind": "judgement", "query": query, "item_id": str(n), "title": title, "description": "", "grade": grade}
        for query in queries
        for n, (title, grade) in enumerate(goods)
    ]


def replay(rows, folder, environment, *, requests):
    """What the command says after sending these judged queries as 20 simulated shoppers."""
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
    command = [sys.executable, "-m", "recflow.cli.main", "replay", "--recipe", NAME, "--dataset", str(folder)]
    command += ["--users", "20", "--seconds", "120", "--requests", str(requests), "--seed", "3"]
    surroundings = os.environ | environment | {"PYTHONPATH": str(REPOSITORY / "src")}
    ended = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def write_catalogue(path, rows):
    path.parent.mkdir(parents=True)
    path.write_text(
        "\n".join(json.dumps({name: row[name] for name in ("item_id", "title", "description")}) for row in rows)
    )
