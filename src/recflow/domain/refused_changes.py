"""How often a change is tried before the line stands still: pure rules over what the ledger knows of its refusals."""

from recflow.artifacts.ledger import Candidate, LedgerState, RefusedChange
from recflow.domain.changes import in_short


def count_refusal(state: LedgerState, candidate: Candidate, changes: tuple[str, ...], reason: str) -> LedgerState:
    """The state after a candidate was refused: one night more for its change; a refresh is none."""
    if not changes or not candidate.made_with:
        return state
    known = state.refused
    if known is None or known.made_with != candidate.made_with:
        known = RefusedChange(made_with=candidate.made_with, changes=changes)
    if candidate.interval_label in known.nights:
        return state
    update = {"nights": (*known.nights, candidate.interval_label), "tries": known.tries + 1, "reason": reason}
    return state.model_copy(update={"refused": known.model_copy(update=update)})


def settle(state: LedgerState, promoted: Candidate) -> LedgerState:
    """The state after a promotion: the change itself, or anything of a newer night, ends the count."""
    refused = state.refused
    if refused is None:
        return state
    over = promoted.made_with == refused.made_with or promoted.interval_label > max(refused.nights)
    return state.model_copy(update={"refused": None}) if over else state


def standstill(refused: RefusedChange | None, change_tries: int, made_with: str) -> str:
    """Why nothing made with `made_with` is tried any more; empty when it is."""
    if refused is None or refused.made_with != made_with:
        return ""
    what = in_short(refused.changes)
    if refused.given_up:
        return f"the line stands still: a change was given up ({refused.given_up}): {what}"
    if refused.tries < change_tries:
        return ""
    nights = f"{refused.tries} night{'s' if refused.tries > 1 else ''}"
    return (
        f"the line stands still: a change was refused on {nights}: {what}. Last: {refused.reason or 'no reason told'}"
    )


def accepted(refused: RefusedChange | None, made_with: str) -> str:
    """Who accepts the change as not worse, and why; empty when nobody does."""
    return refused.accepted if refused is not None and refused.made_with == made_with else ""
