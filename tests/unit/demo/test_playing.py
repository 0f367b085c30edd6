import os
import sys
from datetime import date
from pathlib import Path

import pytest

import demo.__main__ as demo
from demo.recommend.shop import RecommendShop
from demo.relevance.shop import RelevanceShop
from demo.relevance.story import RelevanceStory
from demo.screen import Screen
from demo.story import RELEASE_TIMEOUT_S
from host.airflow import REPOSITORY
from host.processes import Processes
from host.stack import Stack
from recflow.data.sample.shuffle import read_pairs
from recflow.data.sources.spread import day_index
from recflow.errors import BadConfiguration, BadData

DAY = date(2011, 1, 5)


class StoppedStack(Stack):
    """A stack that only tells that it was stopped."""

    def stop(self) -> None:
        (self.home / "stopped").touch()


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "kept").touch()
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def _signals_as_they_were(monkeypatch):
    monkeypatch.setattr(demo, "end_undisturbed", lambda: None)


def play(monkeypatch, home, ends: BaseException | None, *, detach: bool) -> None:
    def played(*_) -> None:
        if ends is not None:
            raise ends

    monkeypatch.setattr(demo, "_play", played)
    monkeypatch.setattr(demo, "_wait", lambda: None)
    demo._run(Screen(), RelevanceStory, RelevanceShop(home, DAY), StoppedStack(home), detach=detach)


@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("end", [KeyboardInterrupt(), RuntimeError("a bug"), BadData("no rows")])
def test_a_play_that_does_not_reach_its_end_leaves_nothing_running(monkeypatch, home, end, detach):
    with pytest.raises(type(end)):
        play(monkeypatch, home, end, detach=detach)
    assert (home / "stopped").exists()


@pytest.mark.parametrize("detach", [True, False])
def test_a_demo_that_was_played_runs_on_only_when_detached(monkeypatch, home, detach):
    play(monkeypatch, home, None, detach=detach)
    assert (home / "stopped").exists() is not detach


def test_ctrl_c_during_the_play_exits_as_interrupted(monkeypatch, home):
    def interrupt(*_) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_play", interrupt)
    with pytest.raises(SystemExit) as ended:
        demo.main(home=home, free_ports=True)
    assert ended.value.code == 130


def test_data_that_is_not_there_is_refused_before_anything_is_deleted(home, capsys):
    with pytest.raises(SystemExit) as ended:
        demo.main(data=home / "none", home=home, free_ports=True)
    assert ended.value.code == BadConfiguration.exit_code
    assert "there are no judged pairs in" in capsys.readouterr().out
    assert (home / "kept").exists()


def test_judged_pairs_that_are_too_thin_are_refused_with_counts_before_anything_is_deleted(home, tmp_path, capsys):
    judged_pairs(tmp_path / "pairs", queries=30)
    with pytest.raises(SystemExit) as ended:
        demo.main(data=tmp_path / "pairs", home=home, free_ports=True)
    assert ended.value.code == BadData.exit_code
    said = capsys.readouterr().out
    assert "20 queries that train and 20 held out, each with 6 products or more" in said
    assert "180 rows in all" in said
    assert (home / "kept").exists()


def test_two_of_five_days_are_spoilt_and_mended(home, tmp_path):
    judged_pairs(tmp_path / "pairs", queries=400)
    shop = RelevanceShop(home, DAY, tmp_path / "pairs")
    shop.check()
    shop.open()
    spoilt = grades_by_day(home / "shop")
    assert shop.mend() == shop.days[2:4]
    mended = grades_by_day(home / "shop")
    assert [before == after for before, after in zip(spoilt, mended, strict=True)] == [True, True, False, False, True]


def judged_pairs(folder, queries):
    folder.mkdir()
    lines = ["id,query,product_title,median_relevance"]
    lines += [f"{row},query {row // 6},title {row % 6},{row % 4 + 1}" for row in range(6 * queries)]
    (folder / "pairs.csv").write_text("\n".join(lines))


def grades_by_day(folder):
    """The grades by row id of each day, in the order of the days."""
    days = [{} for _ in range(RelevanceShop.number_of_days)]
    for row in read_pairs(folder)["pairs.csv"]:
        days[day_index(row["id"], RelevanceShop.number_of_days)][row["id"]] = row["median_relevance"]
    return days


def test_a_demo_that_runs_is_neither_deleted_nor_ended_by_another(home, capsys):
    processes = Processes(home / "run")
    processes.start("gateway", [sys.executable, "-c", "import time; time.sleep(60)"], os.environ, cwd=Path.cwd())
    with pytest.raises(SystemExit):
        demo.main(home=home, free_ports=True)
    assert "is up already" in capsys.readouterr().out
    assert processes.alive("gateway")
    processes.stop("gateway")


def test_two_demos_never_play_in_one_home(home, capsys):
    with demo._alone(home), pytest.raises(SystemExit):
        demo.main(home=home, free_ports=True)
    assert "another demo plays" in capsys.readouterr().out
    assert (home / "kept").exists()


def test_a_demo_keeps_out_of_the_home_of_make_up():
    assert demo.DEMO_HOME == REPOSITORY / ".home" / "demo"


@pytest.mark.parametrize("shop", [RelevanceShop, RecommendShop])
def test_an_undecided_experiment_ends_by_its_own_rule_while_the_demo_waits(home, shop):
    recipe = shop(home, DAY).write_recipe()
    assert recipe.rollout.judging.max_judging_hours * 3600 < RELEASE_TIMEOUT_S
