import pytest

from recflow.artifacts.decisions import Verdict
from recflow.artifacts.plans import HealthLimits
from recflow.protocols import TrafficReading
from recflow.rollout.decide import judge_health

LIMITS = HealthLimits(max_error_rate=0.01, max_p95_ms=200, max_p95_ratio=1.5)
V = Verdict


def reading(requests=1000, errors=0, p95_ms=100.0):
    return TrafficReading(requests, errors, p95_ms)


WELL = reading()


@pytest.mark.parametrize(
    ("treatment", "control", "verdict"),
    [
        (WELL, WELL, V.PASS),
        (WELL, None, V.PASS),
        (reading(errors=10), WELL, V.PASS),
        (reading(errors=11), WELL, V.FAIL),
        (reading(errors=300), reading(errors=300), V.INCONCLUSIVE),
        (reading(errors=300), reading(errors=100), V.FAIL),
        (reading(p95_ms=201), None, V.FAIL),
        (reading(p95_ms=201), reading(p95_ms=199), V.FAIL),
        (reading(p95_ms=210), reading(p95_ms=205), V.INCONCLUSIVE),
        (reading(p95_ms=150), WELL, V.PASS),
        (reading(p95_ms=151), WELL, V.FAIL),
        (reading(p95_ms=None), WELL, V.INCONCLUSIVE),
        (reading(requests=19), WELL, V.INCONCLUSIVE),
        (WELL, reading(requests=19), V.INCONCLUSIVE),
        (reading(requests=19, errors=19), WELL, V.INCONCLUSIVE),
    ],
)
def test_health_is_absolute_and_against_the_control(treatment, control, verdict):
    assert judge_health(LIMITS, treatment, control, min_requests=20).verdict is verdict


def test_too_few_requests_say_so_and_are_not_taken_for_sickness():
    decision = judge_health(LIMITS, reading(requests=3), WELL, min_requests=20)
    assert decision.numbers["thin"]
    assert "3 requests" in decision.reasons[0]


def test_the_reasons_are_those_of_the_worst_rule():
    decision = judge_health(LIMITS, reading(errors=300, p95_ms=160), WELL, min_requests=20)
    assert [reason[:5] for reason in decision.reasons] == ["30.00", "p95 i"]
