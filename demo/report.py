"""The tables that the demo ends with; every figure is read from artifacts, the ledger and the event log."""

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from demo.screen import Screen
from demo.story import RECIPE, Told
from recflow.artifacts.ledger import LedgerEntry, OpenRelease, ReleaseState
from recflow.wiring import Services

S = ReleaseState


def show(screen: Screen, services: Services, told: Sequence[Told]) -> None:
    """Data, quality, size, agreement, shoppers, and what serves now and why."""
    _show_data(screen, services, told)
    _show_quality(screen, told)
    _show_size(screen, told)
    _show_agreement(screen, told)
    _show_shoppers(screen, services, told)
    _show_end(screen, services, told)


def _show_data(screen: Screen, services: Services, told: Sequence[Told]) -> None:
    rows = []
    for day in told:
        partition = day.refs["validate_partition"]
        validation = json.loads((services.artifacts.fetch(partition) / "validation.json").read_bytes())
        counts = (str(validation[name]) for name in ("rows_in", "rows", "quarantined", "duplicates"))
        rows.append([day.title, *counts, _reasons(validation["reasons"])])
    screen.table("Data", ["day", "rows in", "kept", "quarantined", "duplicates", "quarantined why"], rows)


def _reasons(reasons: dict[str, int]) -> str:
    most = sorted(reasons.items(), key=lambda pair: -pair[1])
    shown = ", ".join(f"{name} {count}" for name, count in most[:3])
    return shown + (f", {len(most) - 3} more" if len(most) > 3 else "")


def _show_quality(screen: Screen, told: Sequence[Told]) -> None:
    rows = []
    for day in told:
        numbers = day.refs["offline_gate"].numbers
        scores = (_interval(numbers.get(f"ndcg_{who}")) for who in ("bm25", "untrained", "baseline", "candidate"))
        queries = f"{numbers['queries']} of {numbers['test_queries']}"
        rows.append([day.title, queries, *scores, str(numbers["verdict"])])
    columns = ["day", "queries that can tell", "BM25", "untrained", "baseline", "candidate", "offline gate"]
    screen.table("nDCG@10 on held-out queries (95 % interval)", columns, rows)


def _interval(value: Any) -> str:
    return "none" if not value else f"{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]"


def _show_size(screen: Screen, told: Sequence[Told]) -> None:
    rows = []
    for day in told:
        numbers = day.refs["compress"].numbers
        rows.append(
            [
                day.title,
                str(numbers["variant"]),
                f"{numbers['size_mb_before']} → {numbers['size_mb']} MB",
                f"{numbers['p50_ms_before']} → {numbers['p50_ms']} ms",
            ]
        )
    screen.table("Compression (before → after)", ["day", "form", "size", "p50 of a request, one thread"], rows)


def _show_agreement(screen: Screen, told: Sequence[Told]) -> None:
    rows = [[day.title, *row] for day in told for row in agreement(day.entries)]
    columns = ["day", "released as", "mirrored requests", "tau", "overlap of the first ten", "then"]
    screen.table("Shadow: the candidate's orders against the serving version's", columns, rows)


def agreement(entries: Sequence[LedgerEntry]) -> Iterator[list[str]]:
    """What shadow told before it let a release go on, or held it, as the ledger has it."""
    for entry in entries:
        release, decision = entry.state.release, entry.event.decision
        found = {finding.rule: finding for finding in decision.findings} if decision else {}
        if release and (tau := found.get("tau")):
            overlap = found.get("overlap")
            values = [f"{mean.value:.2f}" if mean else "none" for mean in (tau, overlap)]
            yield [release.plan.kind, f"{tau.n}", *values, f"{release.state}"]


def _show_shoppers(screen: Screen, services: Services, told: Sequence[Told]) -> None:
    from recflow.experiments.gate import plan_release, read_release
    from recflow.experiments.report import summarise

    rows = []
    recipe = services.recipe(RECIPE)
    for day in told:
        found = _judging(day.entries)
        if found is None:
            continue
        release, ended = found
        plan = plan_release(services.events, recipe, release)
        report = summarise(plan, read_release(services.events, recipe, release, ended.at))
        for arm in report.arms if report else ():
            value = f"{arm.value:.3f} [{arm.low:.3f}, {arm.high:.3f}]"
            rows.append([day.title, arm.arm, str(arm.users), value, ended.event.reason])
    screen.table(
        "Online gate: simulated clicks",
        ["day", "arm", "users", "clicks a search (95 %, at any look)", "decision"],
        rows,
    )


def _judging(entries: Sequence[LedgerEntry]) -> tuple[OpenRelease, LedgerEntry] | None:
    """The release as it stood in judging, and the entry that ended it."""
    for entry, following in itertools.pairwise(entries):
        release = entry.state.release
        if release and release.state is ReleaseState.JUDGING and following.event.to is not None:
            return release, following
    return None


def _show_end(screen: Screen, services: Services, told: Sequence[Told]) -> None:
    head = services.ledger.head(RECIPE)
    stable = head.state.stable if head else None
    rows = [[day.title, _end(day), _why(day)] for day in told]
    screen.table("Releases", ["day", "ended", "because"], rows)
    if stable is not None:
        screen.say(f"serving now: {stable.version} since {stable.since:%H:%M:%S}, by {stable.release_id}")


def _end(day: Told) -> str:
    return {None: "not released", S.HELD: "held, given up"}.get(day.ended, str(day.ended))


def _why(day: Told) -> str:
    if day.ended is None:
        return f"offline gate: {day.refs['offline_gate'].numbers['verdict']}"
    held = [entry.event.reason for entry in day.entries if entry.event.to is S.HELD]
    reasons = [entry.event.reason for entry in day.entries if entry.event.reason and entry.event.to is not None]
    return "; ".join([*held, *reasons[-1:]])
