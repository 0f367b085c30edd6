"""The release machine, the online judge and the watch, with their clients."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from recflow.artifacts.decisions import Decision
from recflow.artifacts.ledger import LedgerState, OpenRelease
from recflow.artifacts.manifests import Interval
from recflow.artifacts.refs import Ref
from recflow.config.recipe import Recipe
from recflow.domain.reasons import LONGEST_REASON
from recflow.domain.refused_changes import standstill
from recflow.domain.releases import is_aa
from recflow.errors import BadConfiguration, TemporaryError
from recflow.rollout import operations
from recflow.rollout.attendance import run_wanted
from recflow.rollout.candidates import Recorded, record_candidate
from recflow.rollout.machine import Advanced, advance
from recflow.rollout.parent import pin_parent
from recflow.rollout.progress import Progress, progress
from recflow.wiring.provenance import made_with_now
from recflow.wiring.services import Services


def pin_parent_of(services: Services, recipe: Recipe, interval: Interval) -> Ref:
    """The reference of the model that a retrain of this interval starts from."""
    return pin_parent(recipe, interval, ledger=services.ledger, artifacts=services.artifacts, clock=services.clock)


def standstill_of(services: Services, recipe: Recipe) -> str:
    """Why nothing is to be trained for the recipe as it is now; empty when it is, and where its base is not found.

    A task that cannot be loaded is such a reason: its lines stand still, and no others.
    """
    try:
        services.task(recipe.task)
    except BadConfiguration as error:
        return str(error)
    head = services.ledger.head(recipe.name)
    refused, tries = head.state.refused if head else None, recipe.rollout.change_tries
    if refused is None or not standstill(refused, tries, refused.made_with):
        return ""
    try:
        return standstill(refused, tries, made_with_now(services, recipe))
    except BadConfiguration:
        return ""


def record_candidate_of(services: Services, recipe: Recipe, interval: Interval, refs: Mapping[str, Ref]) -> Recorded:
    """Write the candidate of a retrain into the ledger; `refs` has its package, checkpoint and decision."""
    return record_candidate(
        recipe,
        interval,
        package=refs["package"],
        checkpoint=refs["checkpoint"],
        decision=refs["decision"],
        ledger=services.ledger,
        artifacts=services.artifacts,
    )


def claim_release(services: Services, recipe: str) -> operations.Claimed:
    """The open release, or one opened now, or why there is none."""
    return operations.claim(services.recipe(recipe), services.ledger, services.artifacts, services.clock.now())


def release_progress(services: Services, recipe: str, release_id: str) -> Progress:
    """How a release stands, or how it ended."""
    return progress(services.recipe(recipe), release_id, ledger=services.ledger, now=services.clock.now())


def run_wanted_for(services: Services, recipe: str) -> str:
    """Why a run should be started that carries the recipe's release, should there be none; empty for no reason."""
    plan = services.recipe(recipe).rollout
    return run_wanted(services.ledger.head(recipe), plan, services.clock.now())


def advance_release(services: Services, recipe: str, *, paused: bool = False) -> Advanced:
    """Do the next due step of the recipe's release; `paused`: only on a way back."""
    from recflow.experiments.aa_judge import aa_judge
    from recflow.experiments.gate import online_judge

    online, aa = online_judge(services.events), aa_judge(services.events)

    def judge(contract: Recipe, release: OpenRelease, now: datetime) -> Decision:
        return (aa if is_aa(release.release_id) else online)(contract, release, now)

    return advance(services.recipe(recipe), services, judge, paused=paused)


def adopt_package(services: Services, recipe: str, package: Ref, *, person: str) -> LedgerState:
    """Make a published package the first stable."""
    return operations.adopt(services.model_line(recipe), package, services, person=person)


def watch_recipe(services: Services, name: str, *, paused: bool | None = False) -> dict[str, Any]:
    """Look at what serves now, leave a version that is broken, and do the next due step of an open release.

    `paused`: a person lets its releases stand still, so only a step on a way back is done. None: that is not known, and
    nobody is told of it.

    Compacts the event log first, since every look opens each of its segments; a disk that refuses stops no watch.
    """
    from recflow.monitoring.watch import watch

    with suppress(TemporaryError):
        services.events.compact()
    recipe = services.model_line(name)
    report = watch(recipe, services, standstill_of(services, recipe), paused=bool(paused))
    if incident := report.roll_back:
        reason = incident.reason[:LONGEST_REASON]
        operations.rollback(recipe, services, person="watch", reason=reason, version=incident.roll_back)
    return {**report.model_dump(mode="json"), "advanced": _advance_if_possible(services, name, paused is not False)}


def watch_recipes_gone(services: Services) -> list[str]:
    """Tell a person of every line that serves, or is being released, without a recipe that can be read; their names."""
    from recflow.monitoring.watch import watch_without_recipe, watched_recipes

    found = []
    for name in watched_recipes(services.store):
        try:
            services.model_line(name)
        except BadConfiguration as error:
            if watch_without_recipe(name, error.what, services):
                found.append(name)
    return found


def _advance_if_possible(services: Services, name: str, paused: bool) -> str:
    """What `advance` did. With a dead server there is nothing to advance, and the watch has told a person already."""
    try:
        return advance_release(services, name, paused=paused).reason
    except TemporaryError as error:
        return str(error)
