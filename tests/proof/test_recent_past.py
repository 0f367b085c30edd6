"""How often an ordinary day is taken for an odd one, and how often an odd one is found.

The distance beyond which a number is unusual was chosen on shops of other seeds (101, 102).
"""

import json
from collections import Counter
from pathlib import Path

import pytest

from fakes.engines import duckdb_engine
from fakes.ordinary_days import FAULTS, Shop, judge_days

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
YOUNG, DAYS, FAULTS_EVERY = 28, 228, 10
SHOPS = {"300 impressions": Shop(1, 20), "2,250 impressions": Shop(2, 150), "24,000 impressions": Shop(3, 1_600)}


def count(judged):
    """Of one shop: alarms on ordinary days, young (7 to 27 past days) and old, and how often each fault was found."""
    ordinary = [one for one in judged if not one.fault]
    old, young = ([one for one in ordinary if (one.number >= YOUNG) is late] for late in (True, False))
    faulty = {name: [one for one in judged if one.fault == name] for name in FAULTS}
    return {
        "old": {"days": len(old), "warned": sum(bool(one.unusual) for one in old), "refused": refused(old)},
        "young": {"days": len(young), "warned": sum(bool(one.unusual) for one in young), "refused": refused(young)},
        "false alarms by": dict(Counter(name for one in ordinary for name in one.unusual)),
        "faults": {
            name: {"days": len(days), "found": sum(bool(one.unusual) for one in days), "refused": refused(days)}
            for name, days in faulty.items()
        },
        "first told by": {
            name: Counter(one.unusual[0] for one in days if one.unusual).most_common(1)[0][0]
            for name, days in faulty.items()
            if any(one.unusual for one in days)
        },
    }


def refused(days):
    return sum(one.refused for one in days)


def page(counts):
    """The counts as a page for people."""
    lines = [
        "# A day against the recent past: false alarms and what is found",
        "",
        "Rendered by `tests/proof/test_recent_past.py`. Days of the generated shop, with quieter weekends and 8 % from",
        "day to day, are compared with the 28 days before them (young: with 7 to 27); every tenth once more with each",
        "fault.",
        "",
        f"| | {' | '.join(f'{name} a day' for name in counts)} |",
        "|---|" + "---|" * len(counts),
    ]
    for age in ("old", "young"):
        cells = [f"{one[age]['warned']} and {one[age]['refused']} of {one[age]['days']}" for one in counts.values()]
        lines.append(f"| ordinary days, {age}: warned, refused | {' | '.join(cells)} |")
    for fault in FAULTS:
        found = [one["faults"][fault] for one in counts.values()]
        cells = [f"found on {one['found']} of {one['days']}, refused on {one['refused']}" for one in found]
        lines.append(f"| {fault} | {' | '.join(cells)} |")
    told = next(reversed(counts.values()))["first told by"]
    lines += ["", f"What tells it first, on days of {[*counts][-1]}:", "", "| fault | number |", "|---|---|"]
    return "\n".join([*lines, *(f"| {fault} | {name} |" for fault, name in told.items()), ""])


@pytest.fixture(scope="module")
def counts(tmp_path_factory):
    folder, found = tmp_path_factory.mktemp("days"), {}
    with duckdb_engine(folder) as engine:
        for name, shop in SHOPS.items():
            found[name] = count(list(judge_days(shop, range(DAYS), engine, folder, faults_every=FAULTS_EVERY)))
            print(name, found[name], flush=True)
    (RESULTS / "recent_past.json").write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / "recent_past.md").write_text(page(found))
    return found


@pytest.mark.parametrize("name", SHOPS)
def test_ordinary_days_are_seldom_told_and_hardly_ever_refused(counts, name):
    old = counts[name]["old"]
    assert old["days"] == DAYS - YOUNG
    assert old["warned"] <= 0.05 * old["days"]
    assert old["refused"] <= 0.01 * old["days"]


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found_on_days_of_thousands(counts, fault):
    for name in ("2,250 impressions", "24,000 impressions"):
        found = counts[name]["faults"][fault]
        assert found["found"] >= 0.95 * found["days"]


@pytest.mark.parametrize("fault", ["a kind gone", "no descriptions"])
def test_what_is_plainly_broken_refuses_the_day(counts, fault):
    found = counts["24,000 impressions"]["faults"][fault]
    assert found["refused"] == found["days"]
