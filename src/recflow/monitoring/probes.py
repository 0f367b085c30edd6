"""Golden requests against a live version."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from recflow.artifacts.frozen import Frozen
from recflow.artifacts.refs import Ref
from recflow.config.recipe import Recipe
from recflow.domain.ages import age_s
from recflow.domain.golden import read_golden
from recflow.domain.signatures import Tensors
from recflow.errors import ArtifactCorrupt, ServerUnavailable
from recflow.protocols import Clock, ModelServer
from recflow.storage import ArtifactStore
from recflow.tasks.base import Serving, is_strict

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
    def problem(self) -> str:
        """What is wrong with the version; empty when nothing is."""
        if self.failure:
            return f"does not answer: {self.failure}"
        return f"{self.wrong} of {self.asked} golden answers are wrong" if self.wrong else ""


def probe(
    server: ModelServer,
    artifacts: ArtifactStore,
    clock: Clock,
    recipe: Recipe,
    serving: Serving[Any],
    version: str,
    package: Ref,
) -> Probe:
    """Ask a version its package's golden requests; what is wrong stands in the result and is never raised.

    No request is larger than the infra check's: what that has let pass is not blamed later for more. A request that is
    not answered is put again, more often than the version has instances: the server mends a dead one of several by
    itself, and what it costs shoppers meanwhile is counted by the gateway.
    """
    atol, largest = recipe.watch.probe_atol, max(recipe.rollout.infra.batch_sizes)
    try:
        folder = artifacts.fetch(package)
        goldens, strict = read_golden(folder, serving.golden), is_strict(serving, folder)
    except ArtifactCorrupt as error:
        return Probe(unreadable=error.what)
    wrong, slowest_ms = 0, 0.0
    for asked, golden in enumerate(each.at_most(serving.signature, serving.axis, largest) for each in goldens):
        try:
            seen, took_s = _ask(server, clock, recipe, version, golden.inputs)
        except ServerUnavailable as error:
            return Probe(asked=asked, wrong=wrong, slowest_ms=slowest_ms, failure=error.what)
        slowest_ms = max(slowest_ms, took_s * 1000)
        wrong += not serving.agree(golden.outputs, seen, atol, strict=strict)
    return Probe(asked=len(goldens), wrong=wrong, slowest_ms=slowest_ms)


def _ask(server: ModelServer, clock: Clock, recipe: Recipe, version: str, inputs: Tensors) -> tuple[Tensors, float]:
    """The answer and its seconds; ServerUnavailable when no attempt was answered."""
    infer = partial(server.infer, recipe.name, version, inputs, timeout_s=_TIMEOUT_S)
    for _ in range(recipe.packaging.instances):
        with suppress(ServerUnavailable):
            return _timed(clock, infer)
    return _timed(clock, infer)


def _timed(clock: Clock, infer: Callable[[], Tensors]) -> tuple[Tensors, float]:
    began = clock.now()
    return infer(), age_s(began, clock.now())
