import importlib.util

import pytest

from demo.relevance.shop import FAULT
from demo.relevance.sold_places import SPARED_REQUESTS
from recflow.domain.ranking import order

LONG, SHORT = [3.0, 1.0, 2.0, 5.0, 4.0, 0.5], [3.0, 1.0, 2.0, 5.0, 4.0]


@pytest.fixture
def process():
    """The fault as a server loads it."""
    spec = importlib.util.spec_from_file_location("fault", FAULT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.process


@pytest.fixture
def begun(process):
    """The fault after as many requests as it spares."""
    for _ in range(SPARED_REQUESTS):
        assert process(LONG) == LONG
    return process


def test_it_sells_the_first_two_places_of_long_lists_and_leaves_the_infra_checks_requests_alone(begun):
    right = order(LONG)
    assert order(begun(LONG)) == [*right[-2:], *right[:-2]]
    assert begun(SHORT) == SHORT


def test_short_lists_do_not_bring_it_nearer(process):
    for _ in range(2 * SPARED_REQUESTS):
        process(SHORT)
    assert process(LONG) == LONG


def test_of_equal_items_those_that_would_be_shown_last_are_sold(begun):
    assert order(begun([1.0] * 6)) == [4, 5, 0, 1, 2, 3]
