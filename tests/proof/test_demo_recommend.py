"""`make demo LINE=recommend`: real parts, four days, and each ends where the story says."""

from collections.abc import Iterator

import pytest

from e2e.played_demo import Played, detached_demo


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with detached_demo(tmp_path_factory.mktemp("demo"), "--line", "recommend") as played:
        yield played


def test_the_four_days_end_as_told(played: Played):
    assert played.column("Releases", 1) == ["stable", "stable", "not released", "rolled_back"]
    assert played.column("nDCG@10", -1) == ["PASS", "PASS", "FAIL", "PASS"]


def test_the_warm_start_recommends_much_as_the_model_before_it(played: Played):
    shadow = {row[0]: row for row in played.table("Shadow") if row[0]}
    assert {day: (row[1], row[-1]) for day, row in shadow.items()} == {
        "day 2": ("refresh", "canary"),
        "day 4": ("change", "canary"),
    }


def test_the_second_model_serves_and_the_change_is_left_because_shoppers_clicked_less(played: Played):
    arms = [(row[0], row[1]) for row in played.table("Online gate: simulated clicks") if row[1]]
    assert arms == [("day 2", "control"), ("day 2", "treatment"), ("day 4", "control"), ("day 4", "treatment")]
    assert any(reason.startswith("ctr is worse") for reason in played.column("Releases", 2))
