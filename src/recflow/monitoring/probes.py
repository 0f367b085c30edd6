"""Golden requests against a live version."""

from recflow.artifacts.frozen import Frozen
from recflow.artifacts.refs import Ref
from recflow.config.recipe import Recipe
from recflow.domain.ages import age_s
from recflow.domain.golden import agrees, is_strict, read_golden
from recflow.errors import ArtifactCorrupt, ServerUnavailable
from recflow.protocols import Clock, ModelServer, golden_items
from recflow.storage import ArtifactStore

_TIMEOUT_S = 5.0


class Probe(Frozen):
    """What a version answered: how many golden requests were asked, how many were wrong, the slowest in ms.

    `failure` says why it could not be asked to the end. `unreadable` is about the stored package and not about serving.
    """

    asked: int = 0
    wrong: int = 0
    slowest_ms: float = 0.0
    failure: str = ""
    unreadable: str = ""

    @property
    def sick(self) -> str:
        """What is wrong with the version; empty when nothing is."""
        if self.failure:
            return f"does not answer: {self.failure}"
        return f"{self.wrong} of {self.asked} golden answers are wrong" if self.wrong else ""


def probe(
    server: ModelServer, artifacts: ArtifactStore, clock: Clock, recipe: Recipe, version: str, package: Ref
) -> Probe:
    """Ask a version its package's golden requests; what is wrong stands in the result and is never raised.

    No request is larger than the infra check's: what that has let pass is not blamed later for more.
    """
    atol, items = recipe.watch.probe_atol, max(recipe.rollout.infra.batch_sizes)
    try:
        folder = artifacts.fetch(package)
        requests, strict = [request.first(items) for request in read_golden(folder)], is_strict(folder)
    except ArtifactCorrupt as error:
        return Probe(unreadable=error.what)
    wrong, slowest_ms = 0, 0.0
    for asked, request in enumerate(requests):
        began = clock.now()
        try:
            seen = server.score(recipe.name, version, request.query, golden_items(request), timeout_s=_TIMEOUT_S)
        except ServerUnavailable as error:
            return Probe(asked=asked, wrong=wrong, slowest_ms=slowest_ms, failure=error.what)
        slowest_ms = max(slowest_ms, age_s(began, clock.now()) * 1000)
        wrong += not agrees(request.scores, seen, atol, strict=strict)
    return Probe(asked=len(requests), wrong=wrong, slowest_ms=slowest_ms)
