import importlib.util

import pytest

from demo.shop import FAULT

LONG, SHORT = [3.0, 1.0, 2.0, 5.0, 4.0, 0.0], [3.0, 1.0, 2.0, 5.0, 4.0]


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


def test_afterwards_it_reverses_long_lists_and_leaves_golden_requests_alone(fault):
    process, now = fault
    process(SHORT)
    now[0] += 30.1
    assert process(LONG) == [-score for score in LONG]
    assert process(SHORT) == SHORT
