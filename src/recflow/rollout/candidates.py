"""Candidates: what the offline gate let pass, or refused, becomes known to the ledger, if newer than all before."""

from dataclasses import dataclass

from recflow.artifacts.decisions import Decision
from recflow.artifacts.ledger import Candidate, EventKind, LedgerEntry, LedgerEvent
from recflow.artifacts.manifests import Interval
from recflow.artifacts.refs import Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.domain.reasons import LONGEST_REASON
from recflow.protocols import Ledger
from recflow.rollout.changes import made_with, what_changed
from recflow.rollout.conflicts import retry_on_conflict
from recflow.storage import ArtifactStore


@dataclass(frozen=True)
class Recorded:
    """Whether the ledger has the candidate now, under which version, and why not if not.

    `waiting` says whether its release is still to be opened: one that was recorded before may have been, long ago.
    """

    recorded: bool
    version: str
    reason: str
    waiting: bool = True


def version_id(interval: Interval, package: Ref) -> str:
    """`<interval label without dashes>-<8 digits of the package digest>`."""
    return f"{interval.label.replace('-', '')}-{package.digest[:8]}"


def record_candidate(
    recipe: Recipe,
    interval: Interval,
    *,
    package: Ref,
    checkpoint: Ref | None,
    decision: Ref,
    ledger: Ledger,
    artifacts: ArtifactStore,
) -> Recorded:
    """Append the candidate, or its refusal by the offline gate, if its interval is the newest; safe to call again."""
    candidate = Candidate(
        version=version_id(interval, package),
        package=package.expect(RefKind.PACKAGE),
        checkpoint=checkpoint,
        decision=decision.expect(RefKind.DECISION),
        interval_label=interval.label,
        trained_through=interval.end,
        recipe_digest=recipe.digest,
        made_with=made_with(package, artifacts),
    )
    verdict = Decision.model_validate_json((artifacts.fetch(decision) / "decision.json").read_bytes())
    if not verdict.passed:
        return retry_on_conflict(lambda: _refuse(recipe.name, candidate, verdict, ledger, artifacts))
    return retry_on_conflict(lambda: _record(recipe.name, candidate, ledger))


def _record(recipe: str, candidate: Candidate, ledger: Ledger) -> Recorded:
    head = ledger.head(recipe)
    if not _is_newest(candidate, head):
        if _is_known(recipe, candidate, ledger):
            waiting = head.state.waiting if head else None
            waits = waiting is not None and waiting.version == candidate.version
            reason = "recorded before" if waits else "recorded before; its release has been opened since"
            return Recorded(True, candidate.version, reason, waiting=waits)
        return Recorded(False, candidate.version, "not recorded: a backfill releases nothing")
    ledger.append(recipe, LedgerEvent(kind=EventKind.CANDIDATE_RECORDED, candidate=candidate), after=head)
    return Recorded(True, candidate.version, "recorded")


def _refuse(recipe: str, candidate: Candidate, verdict: Decision, ledger: Ledger, artifacts: ArtifactStore) -> Recorded:
    """Tell a refusal once; that of a backfilled day, which would have released nothing, is not told."""
    reason = f"the offline gate says {verdict.verdict}: {'; '.join(verdict.reasons)}"
    head = ledger.head(recipe)
    event = LedgerEvent(
        kind=EventKind.CANDIDATE_REFUSED,
        candidate=candidate,
        decision=verdict,
        changes=what_changed(candidate.package, head.state.stable if head else None, artifacts),
        reason=reason[:LONGEST_REASON],
    )
    if _is_newest(candidate, head) and all(entry.event != event for entry in ledger.entries(recipe)):
        ledger.append(recipe, event, after=head)
    return Recorded(False, candidate.version, f"not recorded: {reason}")


def _is_newest(candidate: Candidate, head: LedgerEntry | None) -> bool:
    newest = head.state.newest_trained_through if head else None
    return newest is None or candidate.trained_through > newest


def _is_known(recipe: str, candidate: Candidate, ledger: Ledger) -> bool:
    events = (entry.event for entry in ledger.entries(recipe) if entry.event.kind is EventKind.CANDIDATE_RECORDED)
    return any(event.candidate is not None and event.candidate.version == candidate.version for event in events)
