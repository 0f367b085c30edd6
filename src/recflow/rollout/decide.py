"""What the live evidence says about a candidate: pure functions from readings to decisions."""

from collections.abc import Iterable

from recflow.artifacts.decisions import Decision, Finding, Verdict
from recflow.artifacts.plans import HealthLimits
from recflow.protocols import TrafficReading

V = Verdict


def judge_health(
    limits: HealthLimits, treatment: TrafficReading, control: TrafficReading | None, min_requests: int
) -> Decision:
    """Errors and p95 of the candidate, absolute and against its equal-size control.

    A control that is as sick means that the server is, not the candidate: INCONCLUSIVE. Too few requests: the same,
    with `thin` among the numbers.
    """
    readings = [treatment] if control is None else [treatment, control]
    fewest = min(reading.requests for reading in readings)
    if fewest < min_requests:
        reason = f"{fewest} requests in the smaller arm, a reading needs {min_requests}"
        return Decision(gate="health", verdict=V.INCONCLUSIVE, reasons=(reason,), numbers={"thin": True})
    findings = [_errors(limits, treatment, control), _p95(limits, treatment, control)]
    if control is not None:
        findings.append(_ratio(limits, treatment, control))
    return conclude("health", findings)


def conclude(gate: str, findings: Iterable[Finding]) -> Decision:
    """The worst blocking verdict of the findings, with the reasons of those that share it."""
    findings = tuple(findings)
    blocking = [finding for finding in findings if finding.blocking]
    order = (V.FAIL, V.INCONCLUSIVE, V.PASS)
    verdict = next((v for v in order if any(f.verdict is v for f in blocking)), V.NOT_EVALUATED)
    reasons = tuple(finding.reason for finding in blocking if finding.verdict is verdict)
    return Decision(gate=gate, verdict=verdict, reasons=reasons, findings=findings)


def _errors(limits: HealthLimits, treatment: TrafficReading, control: TrafficReading | None) -> Finding:
    share = treatment.errors / treatment.requests
    beside = control.errors / control.requests if control is not None else 0.0
    limit = limits.max_error_rate
    verdict = V.PASS
    if share > limit:
        verdict = V.FAIL if share - beside > limit else V.INCONCLUSIVE
    reason = f"{share:.2%} of the candidate's requests fell back (limit {limit:.2%}, control {beside:.2%})"
    return Finding(rule="error_rate", verdict=verdict, reason=reason, value=share, limit=limit, n=treatment.requests)


def _p95(limits: HealthLimits, treatment: TrafficReading, control: TrafficReading | None) -> Finding:
    value, limit = treatment.p95_ms, limits.max_p95_ms
    if value is None:
        return Finding(rule="p95_ms", verdict=V.INCONCLUSIVE, reason="no latency was measured", limit=limit)
    beside = control.p95_ms if control is not None else None
    verdict = V.PASS
    if value > limit:
        verdict = V.INCONCLUSIVE if beside is not None and beside > limit else V.FAIL
    reason = f"p95 is {value:.0f} ms (limit {limit:.0f} ms{_beside(beside)})"
    return Finding(rule="p95_ms", verdict=verdict, reason=reason, value=value, limit=limit, n=treatment.requests)


def _ratio(limits: HealthLimits, treatment: TrafficReading, control: TrafficReading) -> Finding:
    limit = limits.max_p95_ratio
    if not treatment.p95_ms or not control.p95_ms:
        return Finding(rule="p95_ratio", verdict=V.INCONCLUSIVE, reason="no p95 to compare with", limit=limit)
    value = treatment.p95_ms / control.p95_ms
    verdict = V.PASS if value <= limit else V.FAIL
    reason = f"p95 is {value:.2f} times the control's (limit {limit:.2f})"
    return Finding(rule="p95_ratio", verdict=verdict, reason=reason, value=value, limit=limit, n=treatment.requests)


def _beside(p95_ms: float | None) -> str:
    return "" if p95_ms is None else f", control {p95_ms:.0f} ms"
