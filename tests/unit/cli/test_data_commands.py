import pytest

from fakes.deliveries import day
from fakes.fake_clock import FakeClock
from recflow.artifacts.refs import Ref, RefKind
from recflow.cli.main import run
from recflow.data.heads import HeadHistory
from recflow.errors import BadConfiguration
from recflow.wiring import build_services


@pytest.fixture
def heads(tmp_path, monkeypatch):
    """The first day has had two partitions, the second one; the clock moves a second at each."""
    monkeypatch.setenv("RECFLOW_HOME", str(tmp_path))
    heads, clock = HeadHistory(build_services().store, "shop_search"), FakeClock()
    for number, digit, reason in ((0, "a", "first delivery"), (0, "b", "asked for: a bad disk"), (1, "c", "")):
        ref = Ref(kind=RefKind.PARTITION, uri="file:///p", digest=digit * 64)
        heads.record(day(number), ref, at=clock.tick(), why=lambda _, reason=reason: reason)
    return heads


def test_the_history_of_all_days_says_since_when_each_partition_was_current_and_why(heads, capsys):
    assert run(["data", "history", "shop_search"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2011-01-01    1  2011-01-05 02:00:01  aaaaaaaaaaaa  first delivery",
        "2011-01-01    2  2011-01-05 02:00:02  bbbbbbbbbbbb  asked for: a bad disk",
        "2011-01-02    1  2011-01-05 02:00:03  cccccccccccc  unknown reason",
    ]


def test_the_history_of_one_day_is_of_that_day_alone(heads, capsys):
    assert run(["data", "history", "shop_search", "2011-01-02"]) == 0
    assert capsys.readouterr().out.startswith("2011-01-02    1  ")


@pytest.mark.parametrize("asked", [["shop_search", "2011-01-03"], ["no_shop"]])
def test_a_day_or_recipe_without_a_partition_is_said_to_have_none(heads, capsys, asked):
    assert run(["data", "history", *asked]) == BadConfiguration.exit_code
    assert "has no partition of" in capsys.readouterr().err
