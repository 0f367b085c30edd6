"""Silence is compared: nobody came to either version, or nobody came to the candidate alone.

The first says nothing of a candidate, so it is waited out. The second is a fault: under equal shares each of `n` users
falls to the candidate with probability 1/2, and while it shadows every request is put to it too, so that none of it
beside FEWEST_USERS users of the control has a chance below one in a million.
"""

from datetime import datetime, timedelta

from recflow.artifacts.decisions import Decision
from recflow.artifacts.ledger import LedgerEvent, ReleaseState
from recflow.domain.routes import routes
from recflow.protocols import Activity
from recflow.rollout.context import Context
from recflow.rollout.due import elapsed_s
from recflow.rollout.moves import move

FEWEST_USERS = 20
# Gateways take new routes within it; until then the control alone has traffic.
ROUTED_WITHIN = timedelta(minutes=1)


def silence_of_candidate(context: Context) -> str:
    """Why the candidate's silence is a fault; empty when the control is silent too, or when it is not silent."""
    routed = context.release.entered_at + ROUTED_WITHIN
    seen = _activity(context, max(routed, context.recent_start))
    candidate, control = context.arms
    users = seen.users.get(control, 0)
    if seen.users.get(candidate, 0) or users < FEWEST_USERS:
        return ""
    return f"the candidate got no request while the control got those of {users} users"


def silence_of_both(context: Context) -> str:
    """That nobody came to either version of late, for the status; empty when somebody did."""
    seen = _activity(context, context.recent_start)
    if seen.users:
        return ""
    minutes = (context.now - context.recent_start) / timedelta(minutes=1)
    return f"no request to either version for {minutes:.0f} minutes: waiting for traffic"


def had_traffic_for(context: Context, period_s: float, *, slot_s: float = 60) -> bool:
    """Whether the release stands in its state for `period_s`, without the slots in which nobody came.

    Minutes where the plan speaks of seconds; hours where it speaks of hours, so that a small shop's quiet minutes do
    not stretch its days.
    """
    if elapsed_s(context.release, context.now) < period_s:
        return False
    return _activity(context, context.release.entered_at, slot_s).busy_s >= period_s


def _activity(context: Context, start: datetime, slot_s: float = 60) -> Activity:
    """In shadow the control's requests are everybody's: stable answers them, and they are of no experiment."""
    experiment = routes(context.name, context.state).experiment
    experiments = (experiment, "") if context.release.state is ReleaseState.SHADOW else (experiment,)
    return context.services.metrics.activity(
        context.name,
        versions=context.arms,
        experiments=experiments,
        start=min(start, context.now),
        end=context.now,
        slot_s=slot_s,
    )


def end_of_wait(context: Context, decision: Decision, planned_s: float) -> LedgerEvent | None:
    """The end of a wait for evidence: the candidate alone is silent, or the grace time is over.

    Only time with traffic counts: a night in which nobody came is no evidence against a candidate.
    """
    release = context.release
    if release.first:
        return None
    if alone := silence_of_candidate(context):
        return move(release, ReleaseState.HELD, alone)
    deadline_s = planned_s + release.plan.health.no_data_grace_seconds
    if decision.passed or not had_traffic_for(context, deadline_s):
        return None
    thin = release.state is ReleaseState.SHADOW or decision.numbers.get("thin")
    return move(release, ReleaseState.HELD if thin else ReleaseState.ROLLING_BACK, decision=decision)


def waiting_reason(context: Context, decision: Decision, planned_s: float) -> str:
    """For the status: that nobody came, or what evidence is missing."""
    if silence := "" if context.release.first else silence_of_both(context):
        return silence
    longer = elapsed_s(context.release, context.now) >= planned_s
    return "; ".join((*decision.reasons, *(["time in which nobody came does not count"] if longer else [])))
