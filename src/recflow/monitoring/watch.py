"""The watch: looks at every live version, tells a person, and names the version to leave. The caller rolls back."""

import json
from datetime import datetime, timedelta
from typing import Protocol

from recflow.artifacts.frozen import Frozen
from recflow.artifacts.ledger import LedgerState, ReleaseState, Served
from recflow.artifacts.refs import Ref
from recflow.config.recipe import Recipe
from recflow.domain.ages import age_s
from recflow.domain.releases import LIVE, challenger, is_return
from recflow.monitoring.incidents import Incident, LineContext, Observation, Role, find_incidents, gone
from recflow.monitoring.probes import probe
from recflow.protocols import Card, Clock, Ledger, MetricsSource, ModelServer, Notifier, ObjectStore
from recflow.storage import ArtifactStore
from recflow.tasks.base import Task

_REPEAT = timedelta(days=1)
_UNTOUCHED_BY_A_PAUSE = (ReleaseState.HELD, ReleaseState.PROMOTING, ReleaseState.ROLLING_BACK)
_TOLD = "_watch"  # an object for each recipe that was ever watched: what was told of it, and when


class WatchServices(Protocol):
    """The clients that the watch needs; `recflow.wiring.Services` has them all."""

    @property
    def clock(self) -> Clock: ...
    @property
    def artifacts(self) -> ArtifactStore: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def server(self) -> ModelServer: ...
    @property
    def metrics(self) -> MetricsSource: ...
    @property
    def notifier(self) -> Notifier: ...

    def task(self, name: str) -> Task:
        """The task of a recipe's name for it; BadConfiguration when it cannot be loaded."""


class WatchReport(Frozen):
    """What the watch found. `roll_back` names a version that the caller must leave now, if there is one."""

    recipe: str
    observations: tuple[Observation, ...]
    incidents: tuple[Incident, ...]

    @property
    def roll_back(self) -> Incident | None:
        """The incident that ends by leaving a version, if there is one."""
        return next((incident for incident in self.incidents if incident.roll_back), None)


def watch(recipe: Recipe, services: WatchServices, standstill: str = "", *, paused: bool = False) -> WatchReport:
    """Probe what serves, read its traffic, and tell a person what is new. A rollback is told by the release itself.

    `standstill` is why nothing is trained for the recipe, empty when it is; `paused` that a person has paused what
    carries its releases forward.
    """
    head = services.ledger.head(recipe.name)
    state, now = head.state if head else LedgerState(), services.clock.now()
    observations = tuple(_look(recipe, services, *version, now) for version in live_versions(state))
    context = _with_outcomes(_context(recipe, services, state, now), recipe, services, now)
    stopped = _stopped(state) if paused else ""
    told = {"standstill": standstill, "given_up": _given_up(state), "stopped": stopped}
    context = context.model_copy(update=told)
    incidents = find_incidents(observations, context, recipe.rollout.health, recipe.watch)
    report = WatchReport(recipe=recipe.name, observations=observations, incidents=incidents)
    _tell(report, services, now)
    return report


def watched_recipes(store: ObjectStore) -> list[str]:
    """Every recipe that was ever watched, also one whose file is gone since."""
    return [key.removeprefix(f"{_TOLD}/").removesuffix(".json") for key in store.list(f"{_TOLD}/")]


def watch_without_recipe(name: str, reason: str, services: WatchServices) -> bool:
    """Tell a person of a line that serves, or is being released, and cannot be watched; whether it does."""
    head = services.ledger.head(name)
    state = head.state if head else LedgerState()
    serving = f"{state.stable.version} serves" if state.stable else ""
    unseen = " and ".join(filter(None, (serving, _on_its_way(state))))
    if unseen:
        incident = gone(f"{unseen}, and nobody watches or moves it: {reason}")
        _tell(WatchReport(recipe=name, observations=(), incidents=(incident,)), services, services.clock.now())
    return bool(unseen)


def _on_its_way(state: LedgerState) -> str:
    """The open release, or the candidate that waits for one; empty where there is none."""
    if state.release is not None:
        return f"{state.release.release_id} is in {state.release.state}"
    return f"{state.waiting.version} waits to be released" if state.waiting else ""


def _stopped(state: LedgerState) -> str:
    """What a pause keeps from going forward; empty where it would not, or a freeze does so already."""
    release = challenger(state)
    if state.frozen or (release is not None and release.state in _UNTOUCHED_BY_A_PAUSE):
        return ""
    return _on_its_way(state.model_copy(update={"release": release}))


def live_versions(state: LedgerState) -> list[tuple[Role, str, Ref]]:
    """Every version that shoppers meet or may be sent back to."""
    release = challenger(state)
    served: list[tuple[Role, Served | None]] = [(Role.STABLE, state.stable), (Role.PREVIOUS, state.previous)]
    live = [(role, each.version, each.package) for role, each in served if each is not None]
    if release is None or release.state not in LIVE:
        return live
    candidate = release.candidate
    others = [version for version in live if version[1] != candidate.version]
    return [*others, (Role.CANDIDATE, candidate.version, candidate.package)]


def _look(
    recipe: Recipe, services: WatchServices, role: Role, version: str, package: Ref, now: datetime
) -> Observation:
    serving = services.task(recipe.task).serving
    answers = probe(services.server, services.artifacts, services.clock, recipe, serving, version, package)
    observed = Observation(role=role, version=version, probe=answers)
    if role is Role.PREVIOUS:
        return observed
    start = now - timedelta(seconds=recipe.watch.window_seconds)
    return observed.with_traffic(
        services.metrics.traffic(recipe.name, version=version, experiment="", start=start, end=now)
    )


def _context(recipe: Recipe, services: WatchServices, state: LedgerState, now: datetime) -> LineContext:
    stable, release = state.stable, challenger(state)
    met = release is not None and release.met
    if stable is None:
        return LineContext(silence_s=None, days_since_promotion=None, may_return=False, candidate_met=met)
    newest = max(services.metrics.newest_event(recipe.name) or stable.since, stable.since)
    return LineContext(
        silence_s=age_s(newest, now),
        days_since_promotion=age_s(stable.since, now) / 86_400,
        may_return=release is None and not is_return(stable.release_id),
        candidate_met=met,
        returning=release is not None and is_return(release.release_id),
    )


def _given_up(state: LedgerState) -> bool:
    return state.refused is not None and bool(state.refused.given_up)


def _with_outcomes(context: LineContext, recipe: Recipe, services: WatchServices, now: datetime) -> LineContext:
    start = now - timedelta(seconds=recipe.watch.outcome_window_seconds)
    reading = services.metrics.outcomes(recipe.name, start, now)
    return context.with_outcomes(reading, recipe.online_gate.max_unmatched_share)


def _tell(report: WatchReport, services: WatchServices, now: datetime) -> None:
    """One card a incident, again only when it went and came back or a day has passed, on either side of a stamp.

    A stamp from the day after is of a clock that was wrong: it must not keep a incident quiet until then.
    """
    open_incidents = {f"{each.runbook}: {each.about}": each for each in report.incidents if not each.roll_back}
    store, key = services.artifacts.store, f"{_TOLD}/{report.recipe}.json"
    told = json.loads(store.get(key) or b"{}")
    for name, incident in open_incidents.items():
        if name not in told or abs(now - datetime.fromisoformat(told[name])) >= _REPEAT:
            services.notifier.notify(_card(report.recipe, incident))
            told[name] = now.isoformat()
    kept = {name: at for name, at in told.items() if name in open_incidents}
    store.put(key, json.dumps(kept).encode())


def _card(recipe: str, incident: Incident) -> Card:
    return Card(
        title=f"{recipe}: {incident.runbook.replace('-', ' ')}",
        shoppers_affected=incident.shoppers_affected,
        cause=incident.reason,
        command=f"{incident.command} {recipe}",
        runbook=incident.runbook,
    )
