"""`recflow gateway up` and `recflow replay` as people call them, on a real Triton server."""

import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fakes.gateway_process import GatewayProcess, Load, Place
from fakes.local_triton import REPOSITORY
from fakes.tiny_model import write_package
from host.processes import free_ports
from recflow.artifacts.ledger import ReleaseState
from recflow.clients.triton import TritonServer

NAME = "gateway_line"
RECIPE_TEXT = f"""
name: {NAME}
owner: tests
serving:
  deadline_ms: 20000    # these tests share two cores with others: nothing here may be late
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
    rows = [
        {"kind": "judgement", "query": "red shoe", "item_id": str(n), "title": title, "description": "", "grade": grade}
        for n, (title, grade) in enumerate([("red shoe", 3.0), ("red hat", 1.0), ("tea", 0.0), ("shoe", 2.0)])
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    command = [sys.executable, "-m", "recflow.cli.main", "replay", "--recipe", NAME, "--dataset", str(tmp_path)]
    command += ["--users", "20", "--seconds", "120", "--requests", "60", "--seed", "3"]
    ended = subprocess.run(
        command,
        env=os.environ | environment | {"PYTHONPATH": str(REPOSITORY / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("simulated clicks on real judgements: 60 requests answered")
    shown = place.exposures()
    assert set(shown["arm"].to_pylist()) == {"treatment", "control"}
    assert set(shown["experiment"].to_pylist()) == {"rel-2:judging"}
    assert place.outcomes().num_rows > 0
