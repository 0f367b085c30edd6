"""What the live evidence says about a candidate: pure functions from readings to decisions."""

import math
from collections.abc import Iterable, Mapping

from recflow.artifacts.decisions import Decision, Finding, Verdict
from recflow.artifacts.events import Arm
from recflow.artifacts.plans import HealthLimits
from recflow.protocols import TrafficReading, TrafficShares

V = Verdict
_LOG_LEVEL = math.log(2e7)  # two sides of 1e-7 a test: five thousand of them in 72 hours err in one release of 2,000
_LARGEST_UNIT = 0.02  # hardly a shopper makes more than this of a thousand requests; who does is no excuse
_LEAST_DEVIATION = 0.25  # of an arm's plan, or of what the others are to get: nobody is woken for 1 %
_FEWEST_REQUESTS = 1000


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


def traffic_off_plan(planned: Mapping[Arm, float], seen: TrafficShares, *, with_users: bool = True) -> str:
    """Why the traffic is not split as planned, with its breakdown; empty when chance explains it, or it is too little.

    `planned` has each arm's share of users. An arm's share of the requests adds up each user's share `w` of them where
    the user falls into the arm, so Bernstein's inequality bounds what chance does, however heavy the tail of users:
    t = wL/3 + sqrt((wL/3)^2 + 2L p(1 - p) sum(w^2)) for the largest `w` (Bernstein 1924; Boucheron, Lugosi and Massart,
    Concentration Inequalities, 2013, section 2.8). The level leaves room for a look every minute. Units with more than
    a fiftieth of the requests count as a fiftieth: one id that is many people, or a program, must not be explained
    away. Without `with_users` the users are somebody else's to judge.
    """
    requests, users = sum(seen.requests.values()), sum(seen.users.values())
    if requests < _FEWEST_REQUESTS:
        return ""
    heavy = [number / requests for _, number in seen.heaviest]
    excess = sum(w**2 - min(w, _LARGEST_UNIT) ** 2 for w in heavy)
    squares = max(0.0, sum(seen.squares.values()) / requests**2 - excess)
    largest = min(max(heavy, default=_LARGEST_UNIT), _LARGEST_UNIT)
    off = any(_is_off(share, seen.requests.get(arm, 0) / requests, squares, largest) for arm, share in planned.items())
    if with_users:
        unit = 1 / users
        off |= any(_is_off(share, seen.users.get(arm, 0) / users, unit, unit) for arm, share in planned.items())
    return _breakdown(planned, seen, requests, users, heavy) if off else ""


def _is_off(planned: float, seen: float, squares: float, largest: float) -> bool:
    spread = largest * _LOG_LEVEL / 3
    chance = spread + math.sqrt(spread**2 + 2 * _LOG_LEVEL * planned * (1 - planned) * squares)
    return abs(seen - planned) > max(chance, _LEAST_DEVIATION * min(planned, 1 - planned))


def _breakdown(planned: Mapping[Arm, float], seen: TrafficShares, requests: int, users: int, heavy: list[float]) -> str:
    arms = "; ".join(
        f"{arm} was to get {share:.1%} and got {seen.requests.get(arm, 0) / requests:.1%} of the requests,"
        f" {seen.users.get(arm, 0) / users:.1%} of the users"
        for arm, share in planned.items()
    )
    units = ", ".join(f"{share:.1%}" for share in heavy)
    return (
        f"the traffic is not split as planned: {arms} ({requests:,} requests of {users:,} users;"
        f" the heaviest alone: {units})"
    )
