"""Cards for the person on call: what became of a release, and the one safe command to run."""

from recflow.artifacts.ledger import LedgerEntry, ReleaseState
from recflow.domain.releases import is_return
from recflow.protocols import Card

_TITLES = {
    ReleaseState.HELD: ("{version} is held where it stands", "rollback", "release-held"),
    ReleaseState.AWAITING_APPROVAL: ("{version} waits for approval", "approve", "release-approval"),
    ReleaseState.REJECTED: ("{version} was rejected", "history", "release-rejected"),
    ReleaseState.ROLLING_BACK: ("{version} is rolled back", "history", "release-rolled-back"),
    ReleaseState.PROMOTING: ("{version} serves again: returned in one step", "history", "release-rolled-back"),
}
_AFFECTED = frozenset({"release-held", "release-rolled-back"})


def card_of(entry: LedgerEntry) -> Card:
    """The card of an entry that `must_be_told`; shoppers are affected where they met the candidate.

    A held return is best ended by going on: rolling it back would lead to the version that was left. Whether a
    candidate may order otherwise is seen from the requests on which it does.
    """
    event, release = entry.event, entry.state.release
    version = release.candidate.version if release else event.release_id.partition("-")[2].partition("-")[2]
    assert event.to is not None
    title, command, runbook = _TITLES[event.to]
    if event.to is ReleaseState.HELD and is_return(event.release_id):
        command = "resume"
    if event.differences is not None:
        command = "differences"
    return Card(
        title=f"{entry.recipe}: {title.format(version=version)}",
        shoppers_affected=runbook in _AFFECTED and release is not None and release.met,
        cause=event.reason or "no reason was given",
        command=f"recflow release {command} {entry.recipe}",
        runbook=runbook,
    )
