import math
import random

import pytest

from fakes.relevance import TASK
from fakes.toy_task import ToyExample, ToyMetrics
from recflow.compression.ladder import Trained, choose, judge
from recflow.config.sections.compression import CompressionSection
from recflow.domain.judged import JudgedQuery

SECTION, METRICS = CompressionSection(), TASK.metrics
CHANCE = random.Random(3)
TRAINED = [[CHANCE.random() for _ in range(12)] for _ in range(30)]


def queries():
    grades = [[float(3 * (score > 0.7)) for score in row] for row in TRAINED]
    titles, ones = ("t",) * 12, (1.0,) * 12
    return [JudgedQuery(str(n), "q", titles, ("",) * 12, tuple(row), ones, "head") for n, row in enumerate(grades)]


def test_a_variant_whose_main_metric_is_worse_is_refused_in_the_tasks_words():
    rows = [ToyExample(str(number), (0.0,) * 4, 0) for number in range(3)]
    trained, scores = [[3.0, 0.0, -1.0]] * 3, [[0.3, 0.0, -0.1]] * 3
    found = judge("int8", SECTION, Trained(ToyMetrics(), rows, trained), scores, size_mb=1, p50_ms=1)
    assert (found.holds, found.reason) == (False, f"log loss rises by {found.drop:.4f}, at most 0.005 is allowed")
    assert found.told("log_loss")["log_loss_drop"] == found.drop > 0.005


def rung(variant, move, size=1.0):
    scores = [[move(score) for score in row] for row in TRAINED]
    return judge(variant, SECTION, Trained(METRICS, queries(), TRAINED), scores, size_mb=size, p50_ms=1.0)


def test_equal_scores_hold_everywhere():
    found = rung("fp32", lambda score: score)
    assert (found.holds, found.agreement, found.tau, found.drop, found.max_difference) == (True, 1, 1, 0, 0)


def test_a_moved_fp32_is_refused_with_how_far():
    found = rung("fp32", lambda score: score + 0.01)
    assert not found.holds
    assert "0.01" in found.reason


def test_int8_may_move_as_long_as_the_order_stays():
    assert rung("int8", lambda score: 0.9 * score + 0.05).holds


def test_int8_that_disorders_pairs_is_refused():
    found = rung("int8", lambda score: score + random.Random(score).uniform(-0.2, 0.2))
    assert not found.holds
    assert found.agreement < 0.99
    assert "order" in found.reason


def test_a_reversed_order_has_tau_minus_one():
    found = rung("int8", lambda score: -score)
    assert found.tau == pytest.approx(-1)
    assert found.drop > 0.1


def test_pairs_that_the_trained_model_ties_are_not_counted():
    tied = [[0.5] * 12] * 30
    found = judge("int8", SECTION, Trained(METRICS, queries(), tied), TRAINED, size_mb=1, p50_ms=1)
    assert found.pairs == 0


@pytest.mark.parametrize("variant", ["fp32", "int8"])
def test_a_score_that_is_no_number_is_refused_wherever_it_stands(variant):
    last = TRAINED[-1][-1]
    found = rung(variant, lambda score: math.nan if score == last else score)
    assert (found.holds, found.reason) == (False, "some scores are no numbers")


def test_the_smallest_that_holds_is_chosen():
    whole, small = rung("fp32", lambda s: s, size=90), rung("int8", lambda s: s, size=23)
    broken = rung("int8_blocks", lambda s: -s, size=11)
    assert choose([whole, small, broken]) == small
    assert choose([whole, broken]) == whole
    assert choose([broken]) is None
