"""Comparison of two packages by unit where numbers are lower when better, and where a value is none."""

import math

import pytest

from fakes.toy_task import TASK, WEIGHTS, ToyExample, ToyGate, ToyMetrics, write_toy_package
from recflow.errors import PermanentError
from recflow.evaluation.compare import compare_packages
from recflow.evaluation.held_out import HeldOut
from recflow.evaluation.latency import REQUESTS, measure_latency
from recflow.evaluation.packaged import Package, load_package

NARROW = tuple(tuple(weight / 2 for weight in row) for row in WEIGHTS)


class NoFloors:
    def given(self, name, basis, examples):
        raise PermanentError("the data set has no classes.parquet, which a floor is made of")


@pytest.fixture
def compared(tmp_path):
    def compared(a, b, examples, floors=TASK.floors, metrics=TASK.metrics):
        a, b = (
            load_package(write_toy_package(tmp_path / name, weights=weights)) for name, weights in (("a", a), ("b", b))
        )
        return compare_packages(a, b, HeldOut(metrics, examples, []), ToyGate(), floors, basis=None)

    return compared


def examples(number=30, label=lambda n: n % 3):
    return [
        ToyExample(f"row {n}", tuple(3.0 if place == label(n) else 0.1 * (n % 5) for place in range(4)), label(n))
        for n in range(number)
    ]


def test_of_a_metric_that_is_better_when_lower_the_one_with_less_wins(compared):
    found = compared(NARROW, WEIGHTS, examples())
    loss = found.metrics[0]
    assert (loss.metric, loss.part, loss.n, loss.wins) == ("log_loss", "", 30, 30)
    assert loss.better.low > 0 > loss.b.mean - loss.a.mean


def test_equal_answers_are_ties_and_no_unit_differs(compared):
    found = compared(WEIGHTS, WEIGHTS, examples())
    assert {(row.wins, row.losses) for row in found.metrics} == {(0, 0)}
    assert (found.metrics[0].ties, found.differing) == (30, ())


def test_units_are_named_as_the_task_names_them_those_that_differ_most_first(compared):
    found = compared(WEIGHTS, NARROW, examples())
    assert len(found.differing) == 10
    assert found.differing[0].unit.startswith("row ")
    assert abs(found.differing[0].better) >= abs(found.differing[9].better)


@pytest.mark.parametrize(("rare", "said"), [(0, "no row belongs to rare"), (1, "one of 1 rows can tell")])
def test_a_slice_that_cannot_be_told_says_so(compared, rare, said):
    found = compared(NARROW, WEIGHTS, [*examples(20, lambda n: n % 2), *examples(rare, lambda _: 2)])
    (told,) = {row.said for row in found.metrics if row.part == "rare"}
    assert said in told


def test_a_unit_that_one_of_them_leaves_without_an_answer_is_not_compared(compared):
    unreadable = ToyExample("poison", (1e9, 0.0, 0.0, 0.0), 0)
    found = compared(NARROW, WEIGHTS, [*examples(), unreadable])
    assert (found.units, found.metrics[0].units, found.metrics[0].n) == (31, 31, 30)
    assert [len(reasons) for reasons in found.unanswered] == [1, 1]


def test_a_floor_that_the_data_set_lacks_is_told_and_the_rest_is_compared(compared):
    found = compared(NARROW, WEIGHTS, examples(), floors=NoFloors())
    assert "classes.parquet" in found.floors[0].said
    assert found.metrics[0].wins == 30


class NoNumbers(ToyMetrics):
    """Of the first example what is no number, of the second what no metric can be."""

    def by_unit(self, examples, given, fitted):
        found = super().by_unit(examples, given, fitted)
        return {name: [math.nan, 99.0, *values[2:]] for name, values in found.items()}


def test_a_number_that_is_no_metric_is_no_vote(compared):
    assert compared(NARROW, WEIGHTS, examples(), metrics=NoNumbers()).metrics[0].n == 28


class CountingScorer:
    def __init__(self):
        self.asked = []

    def score_many(self, requests):
        self.asked += requests
        return [[1.0] for _ in requests]


def test_a_latency_is_of_at_most_a_hundred_requests_alone_the_packages_taking_turns():
    scorers = CountingScorer(), CountingScorer()
    found = measure_latency([Package(scorer, list) for scorer in scorers], range(1000))
    assert {latency.requests for latency in found} == {REQUESTS}
    assert scorers[0].asked == scorers[1].asked
    assert all(0 < latency.p50_ms <= latency.p95_ms for latency in found)


def test_nothing_to_ask_is_no_latency():
    with pytest.raises(ValueError, match="needs a request"):
        measure_latency([Package(CountingScorer(), list)], [])
