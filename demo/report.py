"""The tables that the demo ends with; every figure is read from artifacts, the ledger and the event log."""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from demo.screen import Screen
from demo.story import Told
from recflow.artifacts.ledger import LedgerEntry, OpenRelease, ReleaseState
from recflow.config.recipe import Recipe
from recflow.tasks.base import Task
from recflow.wiring import Services

S = ReleaseState
_SPELLED = {"bm25": "BM25", "item_knn": "item-kNN"}


def show(screen: Screen, services: Services, line: str, told: Sequence[Told]) -> None:
    """Data, quality, size, agreement, shoppers, and what serves now and why."""
    report = Report(screen, services, services.recipe(line), told)
    report.show_data()
    report.show_quality()
    report.show_size()
    report.show_agreement()
    report.show_shoppers()
    report.show_end()


@dataclass(frozen=True)
class Report:
    """What the days of a line left behind."""

    screen: Screen
    services: Services
    recipe: Recipe
    told: Sequence[Told]

    @property
    def task(self) -> Task:
        """What the line learns and answers."""
        return self.services.task(self.recipe.task)

    def show_data(self) -> None:
        """What became of each day's rows."""
        rows = []
        for day in self.told:
            partition = day.refs["validate_partition"]
            validation = json.loads((self.services.artifacts.fetch(partition) / "validation.json").read_bytes())
            counts = (str(validation[name]) for name in ("rows_in", "rows", "quarantined", "duplicates"))
            rows.append([day.title, *counts, _reasons(validation["reasons"])])
        self.screen.table("Data", ["day", "rows in", "kept", "quarantined", "duplicates", "quarantined why"], rows)

    def show_quality(self) -> None:
        """The main metric of candidate, baseline and floors, and the verdict."""
        metrics = self.task.metrics
        units, rivals = metrics.units, [*self.recipe.offline_gate.floors, "baseline", "candidate"]
        rows = []
        for day in self.told:
            numbers = day.refs["offline_gate"].numbers
            scores = (_interval(numbers.get(f"{metrics.short}_{who}")) for who in rivals)
            rows.append(
                [day.title, f"{numbers[units]} of {numbers[f'test_{units}']}", *scores, f"{numbers['verdict']}"]
            )
        columns = ["day", f"{units} that can tell", *(_SPELLED.get(who, who) for who in rivals), "offline gate"]
        self.screen.table(f"{metrics.main.told} on held-out {units} (95 % interval)", columns, rows)

    def show_size(self) -> None:
        """What compression made of the models, where a line's are compressed."""
        rows = []
        for day in self.told:
            numbers = day.refs["compress"].numbers
            if "variant" in numbers:
                size = f"{numbers['size_mb_before']} → {numbers['size_mb']} MB"
                speed = f"{numbers['p50_ms_before']} → {numbers['p50_ms']} ms"
                rows.append([day.title, f"{numbers['variant']}", size, speed])
        if rows:
            columns = ["day", "form", "size", "p50 of a request, one thread"]
            self.screen.table("Compression (before → after)", columns, rows)

    def show_agreement(self) -> None:
        """What shadow saw."""
        rules = {self.task.serving.agreement: "tau"}
        rules.setdefault("overlap of the first ten", "overlap")
        rows = [[day.title, *row] for day in self.told for row in agreement(day.entries, [*rules.values()])]
        columns = ["day", "released as", "mirrored requests", *rules, "then"]
        self.screen.table("Shadow: the candidate's answers against the serving version's", columns, rows)

    def show_shoppers(self) -> None:
        """What shoppers did in the two arms."""
        rows = [row for day in self.told for row in self._arms(day)]
        columns = ["day", "arm", "users", "clicks a search (95 %, at any look)", "decision"]
        self.screen.table("Online gate: simulated clicks", columns, rows)

    def _arms(self, day: Told) -> Iterator[list[str]]:
        from recflow.experiments.gate import plan_release, read_release
        from recflow.experiments.report import summarise

        found = _judging(day.entries)
        if found is None:
            return
        release, ended = found
        events = self.services.events
        plan = plan_release(events, self.recipe, release)
        report = summarise(plan, read_release(events, self.recipe, release, ended.at))
        for arm in report.arms if report else ():
            value = f"{arm.value:.3f} [{arm.low:.3f}, {arm.high:.3f}]"
            yield [day.title, arm.arm, f"{arm.users}", value, ended.event.reason]

    def show_end(self) -> None:
        """How each day's release ended, and what serves now."""
        head = self.services.ledger.head(self.recipe.name)
        stable = head.state.stable if head else None
        rows = [[day.title, _end(day), _why(day)] for day in self.told]
        self.screen.table("Releases", ["day", "ended", "because"], rows)
        if stable is not None:
            self.screen.say(f"serving now: {stable.version} since {stable.since:%H:%M:%S}, by {stable.release_id}")


def _reasons(reasons: dict[str, int]) -> str:
    most = sorted(reasons.items(), key=lambda pair: -pair[1])
    shown = ", ".join(f"{name} {count}" for name, count in most[:3])
    return shown + (f", {len(most) - 3} more" if len(most) > 3 else "")


def _interval(value: Any) -> str:
    return "none" if not value else f"{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]"


def agreement(entries: Sequence[LedgerEntry], rules: Sequence[str]) -> Iterator[list[str]]:
    """What shadow told by these rules before it let a release go on, or held it, as the ledger has it."""
    for entry in entries:
        release, decision = entry.state.release, entry.event.decision
        found = {finding.rule: finding for finding in decision.findings} if decision else {}
        if release and (tau := found.get("tau")):
            values = [f"{mean.value:.2f}" if (mean := found.get(rule)) else "none" for rule in rules]
            yield [release.plan.kind, f"{tau.n}", *values, f"{release.state}"]


def _judging(entries: Sequence[LedgerEntry]) -> tuple[OpenRelease, LedgerEntry] | None:
    """The release as it stood in judging, and the entry that ended it."""
    for entry, following in itertools.pairwise(entries):
        release = entry.state.release
        if release and release.state is ReleaseState.JUDGING and following.event.to is not None:
            return release, following
    return None


def _end(day: Told) -> str:
    return {None: "not released", S.HELD: "held, given up"}.get(day.ended, str(day.ended))


def _why(day: Told) -> str:
    if day.ended is None:
        return f"offline gate: {day.refs['offline_gate'].numbers['verdict']}"
    held = [entry.event.reason for entry in day.entries if entry.event.to is S.HELD]
    reasons = [entry.event.reason for entry in day.entries if entry.event.reason and entry.event.to is not None]
    return "; ".join([*held, *reasons[-1:]])
