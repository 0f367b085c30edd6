"""From what the watch observed to incidents: a pure function."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from recflow.artifacts.frozen import Frozen
from recflow.artifacts.plans import HealthLimits
from recflow.config.sections.serving import WatchSection
from recflow.monitoring.probes import Probe
from recflow.protocols import OutcomeReading, TrafficReading


class Role(StrEnum):
    """What a live version is there for."""

    STABLE = "stable"
    CANDIDATE = "candidate"
    PREVIOUS = "previous"


class Observation(Frozen):
    """One live version: its probe, and its requests in the window (none are routed to the previous one)."""

    role: Role
    version: str
    probe: Probe
    requests: int = 0
    errors: int = 0
    p95_ms: float | None = None

    def with_traffic(self, reading: TrafficReading) -> "Observation":
        """The same with its requests."""
        traffic = {"requests": reading.requests, "errors": reading.errors, "p95_ms": reading.p95_ms}
        return self.model_copy(update=traffic)


class LineContext(Frozen):
    """What the watch knows of a line beside its versions: ages in seconds and days, None where nothing can be old.

    `may_return` says that a failing stable may be left for the previous version: no release is open, and stable did not
    itself come by such a return, so that the watch cannot swing to and fro. `candidate_met` says whether shoppers were
    sent to the candidate already; `returning` that the candidate is the version returned to, which no watch sends back.
    `unmatched` are acts that belong to no answer, by reason, beside the `matched` ones. `standstill` is why nothing is
    trained, empty when it is; `given_up` that a person has chosen it. `stopped` is what a person keeps from going
    forward by pausing what carries it, empty when nothing is.
    """

    silence_s: float | None
    days_since_promotion: float | None
    may_return: bool
    candidate_met: bool
    returning: bool = False
    matched: int = 0
    unmatched: Mapping[str, int] = {}
    max_unmatched_share: float = 1
    standstill: str = ""
    given_up: bool = False
    stopped: str = ""

    def with_outcomes(self, reading: OutcomeReading, limit: float) -> "LineContext":
        """The same with the acts of the outcome window, and the share of them that may belong to no answer."""
        acts = {"matched": reading.matched, "unmatched": dict(reading.unmatched), "max_unmatched_share": limit}
        return self.model_copy(update=acts)


class Incident(Frozen):
    """One thing a person may have to know; `roll_back` names the version to leave, empty when leaving helps nothing.

    `about` tells incidents of one runbook apart: the version and what is wrong with it, without changing numbers.
    `command` is what a person runs first.
    """

    runbook: str
    reason: str
    shoppers_affected: bool
    about: str = ""
    roll_back: str = ""
    command: str = "recflow release status"


def find_incidents(
    observations: tuple[Observation, ...], context: LineContext, health: HealthLimits, watch: WatchSection
) -> tuple[Incident, ...]:
    """A failing version is left only for a healthy one: when all fail the server does, and a person is told."""
    incidents = [
        *(
            _failing(version, observations, context, health, watch)
            for version in observations
            if version.role is not Role.PREVIOUS
        ),
        *(_unreadable(version) for version in observations),
        _silence(context, watch),
        _unmatched(context, watch),
        _age(context, watch),
        _standstill(context),
        _paused(context),
    ]
    return tuple(incident for incident in incidents if incident is not None)


class Cause(NamedTuple):
    """What is wrong with a version: its kind, and a sentence with its numbers."""

    kind: str
    reason: str


def cause_of_failure(seen: Observation, health: HealthLimits, watch: WatchSection) -> Cause | None:
    """What is wrong with a version; None when nothing is, or nothing can be said."""
    if seen.probe.problem:
        return Cause("silence" if seen.probe.failure else "answers", seen.probe.problem)
    if seen.requests < watch.min_requests:
        return None
    share = seen.errors / seen.requests
    if share > health.max_error_rate:
        reason = f"{share:.1%} of {seen.requests} requests fell back (limit {health.max_error_rate:.1%})"
        return Cause("errors", reason)
    if seen.p95_ms is not None and seen.p95_ms > health.max_p95_ms:
        reason = f"p95 is {seen.p95_ms:.0f} ms over {seen.requests} requests (limit {health.max_p95_ms:.0f} ms)"
        return Cause("p95", reason)
    return None


def _failing(
    version: Observation,
    observations: tuple[Observation, ...],
    context: LineContext,
    health: HealthLimits,
    watch: WatchSection,
) -> Incident | None:
    found = cause_of_failure(version, health, watch)
    if found is None:
        return None
    fallback_role = Role.STABLE if version.role is Role.CANDIDATE else Role.PREVIOUS
    healthy = [other for other in observations if other.role is fallback_role and _is_healthy(other, health, watch)]
    allowed = context.may_return if version.role is Role.STABLE else not context.returning
    leave = bool(healthy) and allowed
    why_not = "no version is known to do better" if not healthy else "a person must say where to go"
    told = f"{version.role} {version.version}: {found.reason}"
    return Incident(
        runbook="watch-breach",
        about=f"{found.kind} of {version.version}",
        reason=told if leave else f"{told}; {why_not}",
        shoppers_affected=version.role is Role.STABLE or context.candidate_met,
        roll_back=version.version if leave else "",
    )


def _is_healthy(seen: Observation, health: HealthLimits, watch: WatchSection) -> bool:
    return (
        not cause_of_failure(seen, health, watch)
        and seen.probe.asked > 0
        and seen.probe.slowest_ms <= health.max_p95_ms
    )


def _unreadable(seen: Observation) -> Incident | None:
    if not seen.probe.unreadable:
        return None
    reason = f"{seen.role} {seen.version} serves, but could not be loaded again: {seen.probe.unreadable}"
    return Incident(runbook="artifact-corrupt", about=seen.version, reason=reason, shoppers_affected=False)


def _silence(context: LineContext, watch: WatchSection) -> Incident | None:
    if context.silence_s is None or context.silence_s <= watch.max_silence_seconds:
        return None
    reason = f"the newest exposure is {context.silence_s / 60:.0f} minutes old"
    return Incident(runbook="event-log-silent", reason=reason, shoppers_affected=True)


def _unmatched(context: LineContext, watch: WatchSection) -> Incident | None:
    """Such acts count for nothing, so nobody is served worse and no version is to blame."""
    number = sum(context.unmatched.values())
    acts, limit = number + context.matched, context.max_unmatched_share
    if acts < watch.min_outcomes or number <= limit * acts:
        return None
    by_reason = sorted(context.unmatched.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{reason} {count:,}" for reason, count in by_reason)
    return Incident(
        runbook="outcomes-unmatched",
        about=by_reason[0][0],
        reason=f"{number / acts:.1%} of {acts:,} outcomes belong to no answer (limit {limit:.1%}): {told}",
        shoppers_affected=False,
        command="recflow watch",
    )


def _age(context: LineContext, watch: WatchSection) -> Incident | None:
    days = context.days_since_promotion
    if days is None or days <= watch.max_days_without_promotion:
        return None
    why = f"; {context.standstill}" if context.standstill else ""
    reason = f"no model was promoted for {days:.0f} days{why}"
    return Incident(runbook="no-promotion", reason=reason, shoppers_affected=False)


def _standstill(context: LineContext) -> Incident | None:
    """Told until a person has said what becomes of the change."""
    if not context.standstill or context.given_up:
        return None
    return Incident(runbook="change-refused", reason=context.standstill, shoppers_affected=False)


def _paused(context: LineContext) -> Incident | None:
    """Who pauses a DAG may take it for a way to stop everything."""
    if not context.stopped:
        return None
    reason = (
        f"{context.stopped}, and its release DAG is paused: no step forward is taken, steps of a way back are."
        " `recflow release freeze` stops whatever goes forward, whoever runs it"
    )
    return Incident(runbook="release-paused", reason=reason, shoppers_affected=False)


def gone(reason: str) -> Incident:
    """That a line which serves, or is being released, has no recipe to be watched by."""
    return Incident(runbook="recipe-gone", reason=reason, shoppers_affected=False)
