"""How often the online gate errs, and how soon it decides: simulated experiments with returning users."""

import json
from pathlib import Path

import numpy as np

from fakes.sequential_draws import Course, course, draw, looks

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
RUNS, USERS, ALPHA, PLANNED = 1000, 5000, 0.05, 5000
FIRST = 160  # users at which 50 clicks are expected in each arm
LOOKS = looks(FIRST, USERS, 120)


def promoted(run: Course) -> np.ndarray:
    return run.difference - run.one_sided > 0


def harmed(run: Course) -> np.ndarray:
    return run.difference + run.one_sided < 0


def two_sided(run: Course) -> np.ndarray:
    return abs(run.difference) > run.two_sided


def naive(run: Course) -> np.ndarray:
    return abs(run.difference) > 1.96 * run.error


SCENARIOS = {
    # name: effect, factor (1 - margin), alarm, bound on the share (None: a figure, not a promise)
    "equal arms, two-sided alarm": (0.0, 1.0, two_sided, 0.05),
    "equal arms, rolled back": (0.0, 1.0, harmed, 0.05),
    "worse by exactly the margin of 5 %, promoted": (-0.05, 0.95, promoted, 0.05),
    "worse by exactly the margin of 10 %, promoted": (-0.10, 0.90, promoted, 0.05),
    "no change, promoted as better": (0.0, 1.0, promoted, 0.05),
    "equal arms, repeated t-test alarm (for comparison)": (0.0, 1.0, naive, None),
    "equal, promoted as a refresh with margin 5 %": (0.0, 0.95, promoted, None),
    "equal, promoted as a refresh with margin 10 %": (0.0, 0.90, promoted, None),
    "better by 10 %, promoted as a change": (0.10, 1.0, promoted, None),
    "worse by 10 %, rolled back": (-0.10, 1.0, harmed, None),
    "worse by 25 %, rolled back": (-0.25, 1.0, harmed, None),
}


def measure(effect, factor, alarm) -> dict[str, float | None]:
    """The share of runs with an alarm at any look, its 95 % upper bound, and the median users at the first alarm."""
    first = []
    for seed in range(RUNS):
        run = course(draw(seed, USERS, effect=effect), LOOKS, alpha=ALPHA, planned=PLANNED, factor=factor)
        alarms = np.flatnonzero(alarm(run))
        if alarms.size:
            first.append(int(run.users[alarms[0]]))
    share = len(first) / RUNS
    upper = share + 1.645 * np.sqrt(max(share * (1 - share), 1 / RUNS) / RUNS)
    return {"share": share, "upper": round(float(upper), 4), "median_users": float(np.median(first)) if first else None}


def test_the_online_gate_errs_no_more_often_than_it_says():
    results = {name: measure(*scenario[:3]) for name, scenario in SCENARIOS.items()}
    RESULTS.mkdir(exist_ok=True)
    setting = {"runs": RUNS, "users": USERS, "looks": len(LOOKS), "alpha": ALPHA, "planned_users": PLANNED}
    (RESULTS / "online_gate.json").write_text(json.dumps({"setting": setting, "results": results}, indent=1) + "\n")
    (RESULTS / "online_gate.md").write_text(_markdown(results))
    broken = {
        name: results[name] for name, (*_, bound) in SCENARIOS.items() if bound and results[name]["share"] > bound
    }
    assert broken == {}


def _markdown(results) -> str:
    rows = [f"| {name} | {seen['share']:.1%} | {_users(seen['median_users'])} |" for name, seen in results.items()]
    return "\n".join(
        [
            "# How often the online gate errs",
            "",
            "Written by `tests/proof/test_online_gate_error_rates.py` from simulated users: half and half, 2.2",
            "searches a user with returns inside the window, own click rates around 0.3.",
            f"{RUNS:,} experiments of {USERS:,} users each, looked at {len(LOOKS)} times from 50 expected clicks in",
            f"each arm on, alpha {ALPHA:.0%}, N* {PLANNED:,}.",
            "",
            "| situation | share of experiments | median users at that look |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _users(number: float | None) -> str:
    return "–" if number is None else f"{number:,.0f}"
