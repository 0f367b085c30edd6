"""A task whose metric is better when it is lower, which has no query and no list, is judged by the same gate."""

import pytest

from fakes.toy_task import TASK, ToyGate
from recflow.artifacts.decisions import Verdict
from recflow.evaluation import gate
from recflow.evaluation.evidence import Evidence

SECTION = ToyGate()


def judged(candidate, baseline=0.5, **evidence):
    sides = ({"": {"log_loss": [value] * 40}} for value in (candidate, baseline))
    return gate.decide(SECTION, Evidence(*sides, **evidence), TASK.metrics)


@pytest.mark.parametrize(("candidate", "verdict"), [(0.4, Verdict.PASS), (0.54, Verdict.PASS), (0.6, Verdict.FAIL)])
def test_a_higher_loss_is_worse_and_a_lower_one_better(candidate, verdict):
    decision = judged(candidate)
    assert decision.verdict is verdict
    assert decision.numbers["log_loss_change"][0] == pytest.approx(0.5 - candidate)


def test_a_serving_model_without_loss_is_a_rival_like_any_other():
    assert judged(0.01, baseline=0.0).verdict is Verdict.PASS
    assert judged(0.2, baseline=0.0).verdict is Verdict.FAIL


def test_a_floor_with_less_loss_refuses_the_candidate():
    assert judged(0.5, floors={"constant": {"log_loss": [0.3] * 40}}).verdict is Verdict.FAIL


def test_numbers_have_the_tasks_own_units_and_range():
    decision = judged(60.0)
    assert decision.verdict is Verdict.FAIL
    assert "no number from 0 to 50 for 40 of 40 rows" in " ".join(decision.reasons)
    assert (decision.numbers["rows"], decision.numbers["test_rows"]) == (0, 40)


def test_a_limit_is_inclusive_and_lies_above_a_metric_that_is_better_when_lower():
    for bound, verdict in ((0.5, Verdict.PASS), (0.4, Verdict.FAIL)):
        section = ToyGate(values=({"metric": "log_loss", "bound": bound},), changes=())
        decision = gate.decide(section, Evidence({"": {"log_loss": [0.5] * 40}}), TASK.metrics)
        assert (decision.verdict, "at most" in decision.findings[1].reason) == (verdict, True)
