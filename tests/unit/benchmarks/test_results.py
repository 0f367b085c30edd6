import pytest

from benchmarks.results import is_met

FIGURE = {"value": 3.5, "target": 3.0, "better": "higher"}


@pytest.mark.parametrize(
    ("figure", "met"),
    [
        (FIGURE, True),
        (FIGURE | {"value": 2.9}, False),
        (FIGURE | {"better": "lower"}, False),
        (FIGURE | {"better": "lower", "value": 3.0}, True),
        (FIGURE | {"ndcg_equal_or_better": True}, True),
        ({"value": 3.5, "better": "higher"}, None),
    ],
)
def test_a_figure_is_met_when_it_reaches_its_target(figure, met):
    assert is_met(figure) is met


def test_speed_at_the_cost_of_quality_meets_no_target():
    assert is_met(FIGURE | {"ndcg_equal_or_better": False}) is False
