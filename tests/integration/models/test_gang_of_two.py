"""Two gloo processes on this host, started as torchrun starts them, train as one does."""

import json
import os
import socket
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.small_models import tiny_base

SEEDS = (1, 2, 3, 4, 5)
RANK = """
import json, sys
from pathlib import Path
from fakes.tiny_training import train_tiny
base, out, dropout = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
train_tiny(base, out, seeds=json.loads(sys.argv[4]), dropout=dropout)
"""


def start(base, out, size, dropout=0.0, seeds=SEEDS):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", RANK, str(base), str(out), str(dropout), json.dumps(seeds)]
    return [
        subprocess.Popen(command, env=os.environ | shared | path | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(size)
    ]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("gang")
    base = tiny_base(root / "base")
    found = {}
    for size in (1, 2):
        for process in start(base, root / f"{size}.json", size):
            assert process.wait(200) == 0
        found[size] = json.loads((root / f"{size}.json").read_text())
    return found


def test_without_dropout_two_processes_take_the_same_way_as_one(results):
    for one, two in zip(results[1], results[2], strict=True):
        assert two["losses"] == pytest.approx(one["losses"], rel=1e-3)


def test_the_report_says_how_many_processes_trained(results):
    assert {size: {run["gang"] for run in results[size]} for size in (1, 2)} == {1: {1}, 2: {2}}


def test_two_processes_differ_from_one_by_less_than_the_interval_over_five_seeds(results):
    one, two = ([run["ndcg"] for run in results[size]] for size in (1, 2))
    half_width = 2.776 * statistics.stdev(one) / len(one) ** 0.5  # Student's t, 4 degrees of freedom
    assert abs(statistics.mean(one) - statistics.mean(two)) < half_width


def test_when_one_process_is_killed_the_other_ends_as_interrupted(tmp_path):
    base, marker = tiny_base(tmp_path / "base"), tmp_path / "marker"
    first, second = start(base, marker, 2, seeds=[1] * 500)
    while not Path(f"{marker}.started").exists():
        assert first.poll() is None
    second.kill()
    assert first.wait(120) == 75
    second.wait()
