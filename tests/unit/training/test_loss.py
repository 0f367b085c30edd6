import math

import pytest
import torch

from recflow.training.loss import listwise, pairwise


def vector(*numbers):
    return torch.tensor(numbers, dtype=torch.float32)


ONES = vector(1, 1, 1)


def test_pairwise_of_equal_scores_is_log_two():
    assert float(pairwise(vector(1, 1, 1), vector(0, 1, 3), ONES)) == pytest.approx(math.log(2))


def test_pairwise_by_hand_for_one_pair():
    loss = pairwise(vector(2.0, 0.5), vector(1, 0), vector(1, 1))
    assert float(loss) == pytest.approx(-math.log(1 / (1 + math.exp(-1.5))))


@pytest.mark.parametrize("loss", [pairwise, listwise])
def test_the_right_order_costs_less_than_the_wrong_one(loss):
    grades = vector(3, 1, 0)
    assert loss(vector(3, 1, 0), grades, ONES) < loss(vector(0, 1, 3), grades, ONES)


@pytest.mark.parametrize("loss", [pairwise, listwise])
def test_a_step_down_the_gradient_lifts_the_better_item(loss):
    scores = vector(0, 0, 0).requires_grad_()
    loss(scores, vector(0, 0, 3), ONES).backward()
    assert scores.grad[2] < 0 < scores.grad[0]


@pytest.mark.parametrize("loss", [pairwise, listwise])
def test_items_of_equal_grade_zero_teach_nothing(loss):
    scores = vector(1, 2, 3).requires_grad_()
    loss(scores, vector(0, 0, 0), ONES).backward()
    assert scores.grad.abs().sum() == 0


def test_an_item_of_no_weight_is_not_compared():
    grades = vector(0, 1, 3)
    assert float(pairwise(vector(0, 1, -9), grades, vector(1, 1, 0))) == pytest.approx(math.log(1 + math.exp(-1)))


def test_listwise_by_hand():
    loss = listwise(vector(1.0, 0.0), vector(1, 0), vector(1, 1))
    assert float(loss) == pytest.approx(-math.log(math.e / (math.e + 1)))
