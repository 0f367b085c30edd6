"""When a release is due: pure rules over the ledger's state, the plan and the time."""

from collections.abc import Iterable
from datetime import datetime

from recflow.artifacts.ledger import EventKind, LedgerEvent, LedgerState, OpenRelease, ReleaseState
from recflow.artifacts.plans import Blackout, CanaryStep, Plan
from recflow.domain.ages import age_s
from recflow.domain.refused_changes import standstill
from recflow.domain.releases import is_return

S = ReleaseState
_POLL_S = 1.0
_LONGEST_S = 60.0
_FORWARD = frozenset({S.CHECKED, S.AWAITING_APPROVAL, S.SHADOW, S.CANARY, S.JUDGING, S.PROMOTING})


def elapsed_s(release: OpenRelease, now: datetime) -> float:
    """Seconds since the release entered its state, by the ledger; 0 while a clock that was put back catches up."""
    return age_s(release.entered_at, now)


def halt_reason(state: LedgerState, blackouts: Iterable[Blackout], now: datetime, *, paused: bool = False) -> str:
    """Why no release may move forward now; empty when it may. `paused`: whoever carries releases was told to stop."""
    if state.frozen:
        return f"frozen: {state.frozen}"
    if paused:
        return "its release DAG is paused"
    running = (blackout for blackout in blackouts if blackout.start <= now < blackout.end)
    return next((f"blackout until {blackout.end:%Y-%m-%d %H:%M}: {blackout.reason}" for blackout in running), "")


def opening_halt_reason(state: LedgerState, plan: Plan, now: datetime, *, paused: bool = False) -> str:
    """Why no release may be opened for the candidate that waits; empty when one may."""
    made_with = state.waiting.made_with if state.waiting else ""
    stop = halt_reason(state, plan.blackouts, now, paused=paused)
    return stop or standstill(state.refused, plan.change_tries, made_with)


def moves_forward(event: LedgerEvent) -> bool:
    """Whether a freeze stops this event. Ways back and confirmations of what is already routed go on."""
    return event.kind is EventKind.OPENED or (event.kind is EventKind.MOVED and event.to in _FORWARD)


def canary_step(release: OpenRelease) -> CanaryStep:
    """The plan's step that a release in CANARY stands in."""
    return release.plan.canary[release.step]


def after_shadow(release: OpenRelease) -> tuple[ReleaseState, int]:
    """Where a healthy shadow goes: a first release has nobody to be compared with."""
    if release.first:
        return S.PROMOTING, 0
    return (S.CANARY, 0) if release.plan.canary else (S.JUDGING, 0)


def after_canary(release: OpenRelease) -> tuple[ReleaseState, int]:
    """The next canary step, or the judging stage after the last one."""
    following = release.step + 1
    return (S.CANARY, following) if following < len(release.plan.canary) else (S.JUDGING, 0)


def next_due(state: LedgerState, plan: Plan, now: datetime) -> float | None:
    """Seconds until `advance` may have something to do; None when only a new candidate or a person changes that."""
    if state.untold:
        return 0.0
    release, at_once_s = state.release, _LONGEST_S if opening_halt_reason(state, plan, now) else 0.0
    if release is None:
        return at_once_s if state.waiting is not None else _LONGEST_S if state.retiring else None
    if release.state in (S.PACKAGED, S.CHECKED):
        return at_once_s
    if release.state in (S.PROMOTING, S.ROLLING_BACK):
        return _POLL_S
    return min(_LONGEST_S, max(_POLL_S, _remaining_s(release, now)))


def _remaining_s(release: OpenRelease, now: datetime) -> float:
    plan = release.plan
    if release.state is S.SHADOW:
        return _look_s(plan.shadow.min_seconds, elapsed_s(release, now))
    if release.state is S.CANARY:
        return _look_s(canary_step(release).bake_seconds, elapsed_s(release, now))
    if release.state is S.JUDGING:
        return plan.judging.look_every_seconds
    if release.state is S.HELD and not is_return(release.release_id):
        return plan.hold_grace_seconds - elapsed_s(release, now)
    return _LONGEST_S


def _look_s(period_s: float, elapsed: float) -> float:
    """A look every tenth of the period, and one at its end."""
    remaining = period_s - elapsed
    return min(remaining, period_s / 10) if remaining > 0 else period_s / 10
