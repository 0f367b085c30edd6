"""Cards for the person on call: what became of a release, and the one command to run."""

from recflow.artifacts.ledger import LedgerEntry, ReleaseState
from recflow.protocols import Card

S = ReleaseState
_NOTHING = "nothing: what serves now keeps serving"


def card_of(entry: LedgerEntry) -> Card:
    """The card of an entry that `must_be_told`; shoppers are affected where they met the candidate."""
    recipe, event = entry.recipe, entry.event
    version = event.candidate.version if event.candidate else event.release_id
    cause = event.reason or "no reason was given"
    if event.to is S.HELD:
        return _card(recipe, f"{version} is held", cause, "resume RECIPE` or `recflow release rollback", "release-held")
    if event.to is S.AWAITING_APPROVAL:
        return _card(recipe, f"{version} waits for approval", cause, "approve", "release-approval")
    if event.to is S.REJECTED:
        return _card(recipe, f"{version} was rejected", cause, "history", "release-rejected")
    title = "returned to the previous version" if event.to is S.PROMOTING else f"{version} is rolled back"
    return _card(recipe, title, cause, "history", "release-rolled-back")


def _card(recipe: str, title: str, cause: str, command: str, runbook: str) -> Card:
    affected = runbook in ("release-held", "release-rolled-back")
    line = f"`recflow release {command.replace('RECIPE', recipe)} {recipe}`"
    return Card(f"{recipe}: {title}", affected, cause, line, runbook)
