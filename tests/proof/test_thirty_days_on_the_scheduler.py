"""A month of a real wholesaler on the real scheduler: open days become partitions, closed ones are skipped."""

import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest

from e2e.runs import Runs, wait_for
from e2e.small_host import services_of
from fakes.online_retail import unpack_days
from host.stack import REPOSITORY, Ports, Stack
from recflow.data.heads import HeadHistory

DAYS = [date(2010, 12, 1) + timedelta(days=number) for number in range(30)]
DAG = "retail__data"


@pytest.fixture
def stack(tmp_path: Path, data_folder):
    unpack_days(data_folder, DAYS, tmp_path / "retail")
    (tmp_path / "recipes").mkdir()
    shutil.copy(REPOSITORY / "examples" / "retail.yaml", tmp_path / "recipes")
    stack = Stack(tmp_path / "home", recipes=tmp_path / "recipes", source_root=tmp_path, ports=Ports.free())
    stack.start()
    yield stack
    stack.stop()


def test_thirty_days_with_closed_ones_among_them_end_as_partitions_and_skips(stack: Stack):
    runs = Runs(stack)
    wait_for("its DAG", lambda: runs.api("GET", f"/dags?dag_id_pattern={DAG}")["dags"])
    of_days = {day: runs.trigger(DAG, day) for day in DAYS}
    assert runs.finish_all(DAG, of_days.values()) == {"success"}
    delivered = {path.stem for path in (stack.source_root / "retail").iterdir()}
    ended = {f"{day}": runs.states(DAG, run)["validate_partition"] for day, run in of_days.items()}
    assert ended == {f"{day}": "success" if f"{day}" in delivered else "skipped" for day in DAYS}
    heads = HeadHistory(services_of(stack).store, "retail")
    rows = {f"{day}": head.partition.numbers["rows"] for day in DAYS if (head := heads.current(f"{day}"))}
    assert rows.keys() == delivered
    assert rows["2010-12-01"] == 3064
