import importlib.util

import pytest

from demo.shop import FAULT
from recflow.domain.ranking import order

LONG, SHORT = [3.0, 1.0, 2.0, 5.0, 4.0, 0.5], [3.0, 1.0, 2.0, 5.0, 4.0]


@pytest.fixture
def fault(monkeypatch):
    """The fault as a server loads it, with a clock that is set by hand."""
    spec = importlib.util.spec_from_file_location("fault", FAULT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return module.process, now


def test_it_answers_well_for_half_a_minute_after_its_first_request(fault):
    process, now = fault
    now[0] += 500
    assert process(LONG) == LONG
    now[0] += 30
    assert process(LONG) == LONG


def test_afterwards_it_sells_the_first_places_of_long_lists_and_leaves_the_infra_checks_requests_alone(fault):
    process, now = fault
    process(SHORT)
    now[0] += 30.1
    right = order(LONG)
    assert order(process(LONG)) == [*right[-2:], *right[:-2]]
    assert process(SHORT) == SHORT


def test_of_equal_items_those_that_would_be_shown_last_are_sold(fault):
    process, now = fault
    process(SHORT)
    now[0] += 30.1
    assert order(process([1.0] * 6)) == [4, 5, 0, 1, 2, 3]
