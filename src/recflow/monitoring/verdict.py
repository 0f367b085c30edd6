"""What is to be done about what the watch saw: a pure function."""

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


class Seen(Frozen):
    """One live version: its probe, and its requests in the window (none are routed to the previous one)."""

    role: Role
    version: str
    probe: Probe
    requests: int = 0
    errors: int = 0
    p95_ms: float | None = None

    def with_traffic(self, reading: TrafficReading) -> "Seen":
        """The same with its requests."""
        traffic = {"requests": reading.requests, "errors": reading.errors, "p95_ms": reading.p95_ms}
        return self.model_copy(update=traffic)


class Surroundings(Frozen):
    """What was seen beside the versions: ages in seconds and days, None where there is nothing to be old.

    `may_return` says that a sick stable may be left for the previous version: no release is open, and stable did not
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

    def with_outcomes(self, reading: OutcomeReading, limit: float) -> "Surroundings":
        """The same with the acts of the outcome window, and the share of them that may belong to no answer."""
        acts = {"matched": reading.matched, "unmatched": dict(reading.unmatched), "max_unmatched_share": limit}
        return self.model_copy(update=acts)


class Trouble(Frozen):
    """One thing a person may have to know; `roll_back` names the version to leave, empty when leaving helps nothing.

    `about` tells troubles of one runbook apart: the version and what is wrong with it, without changing numbers.
    `command` is what a person runs first.
    """

    runbook: str
    reason: str
    shoppers_affected: bool
    about: str = ""
    roll_back: str = ""
    command: str = "recflow release status"


def judge_watch(
    seen: tuple[Seen, ...], around: Surroundings, health: HealthLimits, watch: WatchSection
) -> tuple[Trouble, ...]:
    """A sick version is left only for one that is well: when all are sick the server is, and a person is told."""
    troubles = [
        *(_sick(version, seen, around, health, watch) for version in seen if version.role is not Role.PREVIOUS),
        *(_unreadable(version) for version in seen),
        _silence(around, watch),
        _unmatched(around, watch),
        _age(around, watch),
        _standstill(around),
        _paused(around),
    ]
    return tuple(trouble for trouble in troubles if trouble is not None)


class Sickness(NamedTuple):
    """What is wrong with a version: its kind, and a sentence with its numbers."""

    kind: str
    reason: str


def sickness(seen: Seen, health: HealthLimits, watch: WatchSection) -> Sickness | None:
    """What is wrong with a version; None when nothing is, or nothing can be said."""
    if seen.probe.sick:
        return Sickness("silence" if seen.probe.failure else "answers", seen.probe.sick)
    if seen.requests < watch.min_requests:
        return None
    share = seen.errors / seen.requests
    if share > health.max_error_rate:
        reason = f"{share:.1%} of {seen.requests} requests fell back (limit {health.max_error_rate:.1%})"
        return Sickness("errors", reason)
    if seen.p95_ms is not None and seen.p95_ms > health.max_p95_ms:
        reason = f"p95 is {seen.p95_ms:.0f} ms over {seen.requests} requests (limit {health.max_p95_ms:.0f} ms)"
        return Sickness("p95", reason)
    return None


def _sick(
    version: Seen, seen: tuple[Seen, ...], around: Surroundings, health: HealthLimits, watch: WatchSection
) -> Trouble | None:
    found = sickness(version, health, watch)
    if found is None:
        return None
    refuge = Role.STABLE if version.role is Role.CANDIDATE else Role.PREVIOUS
    well = [other for other in seen if other.role is refuge and _is_well(other, health, watch)]
    allowed = around.may_return if version.role is Role.STABLE else not around.returning
    leave = bool(well) and allowed
    why_not = "no version is known to do better" if not well else "a person must say where to go"
    told = f"{version.role} {version.version}: {found.reason}"
    return Trouble(
        runbook="watch-breach",
        about=f"{found.kind} of {version.version}",
        reason=told if leave else f"{told}; {why_not}",
        shoppers_affected=version.role is Role.STABLE or around.candidate_met,
        roll_back=version.version if leave else "",
    )


def _is_well(seen: Seen, health: HealthLimits, watch: WatchSection) -> bool:
    return not sickness(seen, health, watch) and seen.probe.asked > 0 and seen.probe.slowest_ms <= health.max_p95_ms


def _unreadable(seen: Seen) -> Trouble | None:
    if not seen.probe.unreadable:
        return None
    reason = f"{seen.role} {seen.version} serves, but could not be loaded again: {seen.probe.unreadable}"
    return Trouble(runbook="artifact-corrupt", about=seen.version, reason=reason, shoppers_affected=False)


def _silence(around: Surroundings, watch: WatchSection) -> Trouble | None:
    if around.silence_s is None or around.silence_s <= watch.max_silence_seconds:
        return None
    reason = f"the newest exposure is {around.silence_s / 60:.0f} minutes old"
    return Trouble(runbook="event-log-silent", reason=reason, shoppers_affected=True)


def _unmatched(around: Surroundings, watch: WatchSection) -> Trouble | None:
    """Such acts count for nothing, so nobody is served worse and no version is to blame."""
    number = sum(around.unmatched.values())
    acts, limit = number + around.matched, around.max_unmatched_share
    if acts < watch.min_outcomes or number <= limit * acts:
        return None
    by_reason = sorted(around.unmatched.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{reason} {count:,}" for reason, count in by_reason)
    return Trouble(
        runbook="outcomes-unmatched",
        about=by_reason[0][0],
        reason=f"{number / acts:.1%} of {acts:,} outcomes belong to no answer (limit {limit:.1%}): {told}",
        shoppers_affected=False,
        command="recflow watch",
    )


def _age(around: Surroundings, watch: WatchSection) -> Trouble | None:
    days = around.days_since_promotion
    if days is None or days <= watch.max_days_without_promotion:
        return None
    why = f"; {around.standstill}" if around.standstill else ""
    reason = f"no model was promoted for {days:.0f} days{why}"
    return Trouble(runbook="no-promotion", reason=reason, shoppers_affected=False)


def _standstill(around: Surroundings) -> Trouble | None:
    """Told until a person has said what becomes of the change."""
    if not around.standstill or around.given_up:
        return None
    return Trouble(runbook="change-refused", reason=around.standstill, shoppers_affected=False)


def _paused(around: Surroundings) -> Trouble | None:
    """Who pauses a DAG may take it for a way to stop everything."""
    if not around.stopped:
        return None
    reason = (
        f"{around.stopped}, and its release DAG is paused: no step forward is taken, steps of a way back are."
        " `recflow release freeze` stops whatever goes forward, whoever runs it"
    )
    return Trouble(runbook="release-paused", reason=reason, shoppers_affected=False)


def gone(reason: str) -> Trouble:
    """That a line which serves, or is being released, has no recipe to be watched by."""
    return Trouble(runbook="recipe-gone", reason=reason, shoppers_affected=False)
