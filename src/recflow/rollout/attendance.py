"""Whether a release is carried by somebody: a scheduler may lose the wake-up of a candidate, or a person its run."""

from datetime import datetime, timedelta

from recflow.artifacts.ledger import LedgerEntry, ReleaseState
from recflow.artifacts.plans import Plan
from recflow.domain.releases import challenger
from recflow.rollout.due import opening_halt_reason

# What moved within it is being carried, or was recorded this moment and its own wake-up is on the way.
_FRESH = timedelta(minutes=1)


def run_wanted(head: LedgerEntry | None, plan: Plan, now: datetime) -> str:
    """Why a run should be started that carries a release, should there be none; empty when there is nothing to carry.

    A held release waits for a person, and what may not move forward for its time. An A/A is carried by the watch.
    """
    if head is None or timedelta() <= now - head.at < _FRESH:
        return ""
    release = challenger(head.state)
    if release is not None:
        held = release.state is ReleaseState.HELD
        return "" if held else f"{release.release_id} is in {release.state}, and no run carries it"
    waiting = head.state.waiting
    if waiting is None or opening_halt_reason(head.state, plan, now):
        return ""
    return f"{waiting.version} waits to be released, and no run has begun"
