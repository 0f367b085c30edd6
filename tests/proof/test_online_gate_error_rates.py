"""How often the online gate errs, how soon it decides, and what each mode of guardrail lets through.

Every experiment is an event log that the real reader reads; nothing here knows the gate's arithmetic. The parameters of
the gate were chosen on other seeds.
"""

import json
import multiprocessing
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from fakes.simulated_experiment import Effects, plan, read, simulate
from recflow.config.sections.gate import Guardrail, OnlineGateSection
from recflow.experiments.evidence import Evidence
from recflow.experiments.gate import judge_online
from recflow.experiments.planning import Kind, OnlinePlan

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
FIRST_SEED, ALPHA, MARGIN, PLANNED, HARM = 1_000_000, 0.05, 0.1, 20_000, 3_200
LOOKS = (*range(640, HARM + 1, 640), *range(4_000, PLANNED + 1, 3_200))
LONG, SHORT = 200, 400  # experiments of a situation
SERVING = ("fallback_rate", "p95_ms")


@dataclass(frozen=True)
class Judge:
    """A gate by its recipe: success metric, kind, guardrails and their mode."""

    success: str = "ctr"
    kind: Kind = "refresh"
    guardrails: tuple[str, ...] = ()
    mode: str = "auto"

    def plan(self, log) -> OnlinePlan:
        rules = tuple(Guardrail(metric=name, max_relative_drop=MARGIN, mode=self.mode) for name in self.guardrails)
        section = OnlineGateSection(
            success_metric=self.success, max_relative_drop=MARGIN, guardrails=rules, alpha=ALPHA, planned_users=PLANNED
        )
        return plan(log, section, self.kind)


GATE = Judge(guardrails=("purchase_rate", *SERVING))
WITH_REVENUE = Judge(guardrails=("purchase_rate", *SERVING, "revenue_per_user"))
METRICS = ("ctr", "purchase_rate", "revenue_per_user")
CHANGES = {f"change by {name}": Judge(success=name, kind="change") for name in METRICS}
REFRESHES = {f"refresh by {name}": Judge(success=name) for name in METRICS}
GUARDED = {
    f"{name} {mode}": Judge(guardrails=(name,), mode=mode)
    for name in METRICS[1:]
    for mode in ("shown_to_hold", "not_shown_worse")
}


@dataclass(frozen=True)
class Scenario:
    """Experiments of one kind: how many, how long, what the treatment does, and by whom each is judged."""

    runs: int
    users: int
    effects: Effects
    judges: Mapping[str, Judge]
    threshold: bool = False


def _fewer_purchases(margins: int) -> Scenario:
    judges = GUARDED if margins > 1 else GUARDED | {name: REFRESHES[name] for name in list(REFRESHES)[1:]}
    return Scenario(LONG, PLANNED, Effects(purchases=1 - margins * MARGIN), judges)


SCENARIOS = {
    "equal": Scenario(
        LONG, PLANNED, Effects(), {"gate": GATE, "with revenue": WITH_REVENUE, **CHANGES}, threshold=True
    ),
    "a tenth fewer clicks": Scenario(SHORT, HARM, Effects(clicks=0.9), {"gate": GATE}),
    "a tenth fewer clicks, longer": Scenario(
        LONG, 7_200, Effects(clicks=0.9), {"refresh by ctr": REFRESHES["refresh by ctr"]}
    ),
    "equal, looks for harm": Scenario(SHORT, HARM, Effects(), {"gate": GATE}),
    **{f"purchases worse by {margins} margins": _fewer_purchases(margins) for margins in (1, 2, 3)},
}


def first_verdict(judge: Callable[[Evidence], str], evidence: Evidence) -> tuple[str, int]:
    """PASS or FAIL and the users at the look that gave it; INCONCLUSIVE when none did."""
    for users in (look for look in LOOKS if look <= evidence.users):
        verdict = judge(evidence.first(users))
        if verdict != "INCONCLUSIVE":
            return verdict, users
    return "INCONCLUSIVE", 0


def threshold_judge(evidence: Evidence) -> str:
    """As rollout tools without statistics judge: back when treatment is below 95 % of control at a look."""
    clicks, searches = evidence.totals["count:click"], evidence.totals["searches"]
    treatment, control = (clicks[arm].sum() / searches[arm].sum() for arm in (evidence.treated, ~evidence.treated))
    ended = "PASS" if evidence.users >= PLANNED else "INCONCLUSIVE"
    return "FAIL" if treatment < 0.95 * control else ended


def experiment(scenario: Scenario, seed: int) -> dict[str, tuple[str, int]]:
    """One experiment, read from its event log and judged by each judge."""
    log = simulate(seed, scenario.users, scenario.effects)
    evidence = read(log, scenario.users)
    judges = {name: partial(_verdict, judge.plan(log)) for name, judge in scenario.judges.items()}
    if scenario.threshold:
        judges["threshold"] = threshold_judge
    return {name: first_verdict(judge, evidence) for name, judge in judges.items()}


def _verdict(plan: OnlinePlan, evidence: Evidence) -> str:
    return str(judge_online(plan, evidence).verdict)


def run(scenario: Scenario, first_seed: int) -> dict[str, dict[str, float]]:
    """For each judge the shares of verdicts, and the median users at promotions and at roll-backs."""
    seeds = range(first_seed, first_seed + scenario.runs)
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork")) as pool:
        ended = list(pool.map(partial(experiment, scenario), seeds, chunksize=5))
    return {name: _shares([one[name] for one in ended]) for name in ended[0]}


def _shares(ended: list[tuple[str, int]]) -> dict[str, float]:
    counts = Counter(verdict for verdict, _ in ended)
    shares = {verdict: counts[verdict] / len(ended) for verdict in ("PASS", "FAIL", "INCONCLUSIVE")}
    users = {verdict: [users for said, users in ended if said == verdict] for verdict in ("PASS", "FAIL")}
    return (
        shares | {"runs": len(ended)} | {f"users at {name}": float(np.median(at)) for name, at in users.items() if at}
    )


# (situation, scenario, judge, verdict, at least, at most); neither: a figure, not a promise.
ROWS = [
    ("equal, promoted", "equal", "gate", "PASS", 0.8, None),
    ("equal, promoted with revenue_per_user as a further guardrail", "equal", "with revenue", "PASS", 0.6, None),
    ("equal, rolled back within 3,200 users", "equal, looks for harm", "gate", "FAIL", None, ALPHA),
    ("equal, rolled back within 20,000 users", "equal", "gate", "FAIL", None, ALPHA),
    ("a tenth fewer clicks, rolled back within 3,200 users", "a tenth fewer clicks", "gate", "FAIL", 0.95, None),
    *((f"equal, promoted as better by {name}", "equal", f"change by {name}", "PASS", None, ALPHA) for name in METRICS),
    *((f"equal, rolled back by {name}", "equal", f"change by {name}", "FAIL", None, ALPHA) for name in METRICS),
    ("ctr worse by the margin, promoted", "a tenth fewer clicks, longer", "refresh by ctr", "PASS", None, ALPHA),
    *(
        (f"{name} (success) worse by the margin, promoted", "purchases worse by 1 margins", f"refresh by {name}",
         "PASS", None, ALPHA)
        for name in METRICS[1:]
    ),
    *(
        (f"{name} ({mode}) worse by {margins} × margin, promoted", f"purchases worse by {margins} margins",
         f"{name} {mode}", "PASS", None, ALPHA if mode == "shown_to_hold" or margins == 3 else None)
        for name in METRICS[1:] for mode in ("shown_to_hold", "not_shown_worse") for margins in (1, 2, 3)
    ),
    ("equal, rolled back by a threshold judge (for comparison)", "equal", "threshold", "FAIL", None, None),
]  # fmt: skip


def test_the_online_gate_errs_no_more_often_than_it_says_and_promotes_equal_candidates():
    seen = {
        name: run(scenario, FIRST_SEED + 10_000 * number)
        for number, (name, scenario) in enumerate(SCENARIOS.items())
    }  # fmt: skip
    rows = {situation: seen[scenario][judge] for situation, scenario, judge, *_ in ROWS}
    setting = {"alpha": ALPHA, "margin": MARGIN, "planned_users": PLANNED, "harm_users": HARM, "looks": LOOKS}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "online_gate.json").write_text(json.dumps({"setting": setting, "results": rows}, indent=1) + "\n")
    (RESULTS / "online_gate.md").write_text(_markdown(rows))
    broken = [
        situation
        for situation, _, _, verdict, least, most in ROWS
        if (least and rows[situation][verdict] < least) or (most and _surely(rows[situation], verdict) > most)
    ]
    assert broken == []


def _surely(row: Mapping[str, float], verdict: str) -> float:
    """The 95 % lower bound of a share: so many runs cannot tell less from chance."""
    share = row[verdict]
    return share - 1.645 * float(np.sqrt(share * (1 - share) / row["runs"]))


def _markdown(rows: Mapping[str, Mapping[str, float]]) -> str:
    lines = [_row(*row, rows[row[0]]) for row in ROWS]
    return "\n".join(
        [
            "# How often the online gate errs, and how soon it decides",
            "",
            "Written by `tests/proof/test_online_gate_error_rates.py`: simulated event logs, read by the real reader.",
            "A user's click rate an item is beta(2, 6) · 0.4, a search shows 10 items, a user has 1 + Poisson(1.2)",
            "searches and none to three before the start, 3 % of searches end in a purchase, values are",
            "log-normal(3.2, 1.1).",
            f"Margin {MARGIN:.0%}, alpha {ALPHA:.0%}, {PLANNED:,} users planned, looks for harm up to {HARM:,} users,",
            f"{len(LOOKS)} looks. Guardrails of the gate: purchase_rate, fallback_rate, p95_ms, in the mode that the",
            "plan chooses (purchase_rate and revenue_per_user: not shown worse, judged once).",
            "",
            "| situation | aim | share | experiments | median users at that look |",
            "|---|---|---|---|---|",
            *lines,
            "",
        ]
    )


def _row(situation, _scenario, _judge, verdict, least, most, row) -> str:
    aim = f"≥ {least:.0%}" if least else f"≤ {most:.0%}" if most else "–"
    users = row.get(f"users at {verdict}")
    return f"| {situation} | {aim} | {row[verdict]:.1%} | {row['runs']:,} | {f'{users:,.0f}' if users else '–'} |"
