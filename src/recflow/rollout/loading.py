"""What the model server holds: what routes name or will name next, and nothing that nobody needs."""

import contextlib
from pathlib import Path

from recflow.artifacts.decisions import Decision, Verdict
from recflow.artifacts.ledger import LedgerEvent, OpenRelease, ReleaseState
from recflow.artifacts.refs import Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.domain.releases import is_aa
from recflow.domain.routes import routes
from recflow.errors import ArtifactCorrupt, ModelWontLoad, PermanentError
from recflow.rollout.context import Context
from recflow.rollout.moves import move
from recflow.rollout.services import ReleaseServices
from recflow.tasks.base import refuse_other_signature

S = ReleaseState


def keep_loaded(context: Context, release: OpenRelease) -> LedgerEvent | None:
    """Load what routes name, or will name next, and the server has lost; the event when the candidate cannot be.

    A stable that cannot be loaded stops nothing: a release, a return above all, may be the way out of it.
    """
    with contextlib.suppress(PermanentError):
        keep_stable_loaded(context)
    if release.state in (S.PACKAGED, S.AWAITING_APPROVAL, S.ROLLING_BACK) or is_aa(release.release_id):
        return None
    candidate = release.candidate
    if candidate.version in context.services.server.loaded(context.name):
        return None
    try:
        load(context, candidate.version, candidate.package)
    except (ArtifactCorrupt, ModelWontLoad) as error:
        to = S.REJECTED if release.state is S.CHECKED else S.ROLLING_BACK
        return move(release, to, decision=refuse_to_load(error))
    return None


def keep_stable_loaded(context: Context) -> None:
    """Stable must answer; the previous one is kept warm for a one-step return, as far as it still can be loaded."""
    stable, previous = context.state.stable, context.state.previous
    if stable is None:
        return
    loaded = context.services.server.loaded(context.name)
    if stable.version not in loaded:
        load(context, stable.version, stable.package)
    if previous is not None and previous.version not in loaded:
        with contextlib.suppress(PermanentError):
            load(context, previous.version, previous.package)


def unneeded(context: Context) -> list[str]:
    """Retiring versions; between releases also what a caller loaded after it had been overtaken."""
    state = context.state
    in_use = {*routes(context.name, state).versions, state.previous.version if state.previous else ""}
    found = list(state.retiring)
    if state.release is None and state.stable is not None:
        found += [version for version in context.services.server.loaded(context.name) if version not in found]
    return [version for version in found if version not in in_use]


def load(context: Context, version: str, package: Ref) -> None:
    """Fetch, verify and load a version; loading what is loaded is fine. ModelWontLoad where it is of another task."""
    install(context.services, context.recipe, version, fetch(context, package))


def install(services: ReleaseServices, recipe: Recipe, version: str, folder: Path) -> None:
    """Load a package's folder. ModelWontLoad when the server refuses it, or its model is of another task."""
    refuse_other_signature(services.task(recipe.task).serving, folder)
    services.server.load(recipe.name, version, folder)


def fetch(context: Context, package: Ref) -> Path:
    """A package's verified folder; ArtifactCorrupt is the store's, since a spoilt local copy is fetched anew once."""
    package.expect(RefKind.PACKAGE)
    try:
        return context.services.artifacts.fetch(package)
    except ArtifactCorrupt:
        return context.services.artifacts.fetch(package)


def refuse_to_load(error: ArtifactCorrupt | ModelWontLoad) -> Decision:
    """The decision that a package which cannot be loaded stands for."""
    return Decision(gate="infra_check", verdict=Verdict.FAIL, reasons=(error.what,), numbers={"seen": error.seen[:600]})
