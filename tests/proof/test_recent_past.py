"""How often an ordinary day is taken for an odd one, and how often an odd one is found.

The distance beyond which a number is unusual was chosen on shops of other seeds (101, 102). What a wholesaler's real days
showed has changed two rules since: amounts are compared by their logarithms, and few rows alone refuse no day where days
differ much. No number was chosen by those days.
"""

import json
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fakes.engines import duckdb_engine
from fakes.online_retail import unpack_days
from fakes.ordinary_days import FAULTS, Shop, judge_days
from recflow.config.recipe_loader import load_recipe
from recflow.config.sections.recent import RecentSection
from recflow.data.clean import clean
from recflow.data.profile import profile_rows
from recflow.data.recent import judge_against
from recflow.data.sources import open_source
from recflow.domain.intervals import day_interval
from recflow.engine.expressions import in_utc

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "docs" / "results"
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


def real_days(data_folder, folder):
    """Of every day of the wholesaler with seven days before it: how many there are, what is told, and of which days."""
    recipe, section = load_recipe(REPOSITORY / "examples" / "retail.yaml"), RecentSection()
    first, last = date(2010, 12, 1), date(2011, 8, 31)
    unpack_days(
        data_folder, (first + timedelta(days=number) for number in range((last - first).days + 1)), folder / "days"
    )
    source, known, found = open_source(recipe, (folder / "days").as_uri()), [], {}
    for label in sorted(path.stem for path in (folder / "days").glob("*.csv")):
        interval = day_interval(label, recipe.schedule.timezone)
        today = real_profile(recipe, source, interval, folder)
        past = [one for day, one in known if day.start >= interval.start - timedelta(days=section.days)]
        if len(past) >= section.min_days:
            found[label] = [one for one in judge_against(today, past, section) if one.verdict != "usual"]
        known.append((interval, today))
    told = Counter(one.name for findings in found.values() for one in findings)
    refusing = sum(any(one.refuses for one in findings) for findings in found.values())
    warned = [label for label, findings in found.items() if findings]
    return {"days": len(found), "warned": warned, "refused": refusing, "told": dict(told.most_common())}


def real_profile(recipe, source, interval, folder):
    """The profile of a day of which no row is refused."""
    with TemporaryDirectory(dir=folder) as scratch, duckdb_engine(Path(scratch)) as engine:
        delivered = engine.read(source.deliver(interval, Path(scratch)).files)
        cleaned = clean(engine, delivered, interval.label, recipe.data)
        rows = cleaned.rows.mutate(at=in_utc(cleaned.rows["at"]), position=cleaned.rows.position.fill_null(0))
        engine.write(rows, Path(scratch) / "rows.parquet")
        kept = cleaned.rows_in - cleaned.duplicates
        report = {
            "rows_in": cleaned.rows_in,
            "rows": kept,
            "quarantined": 0,
            "duplicates": cleaned.duplicates,
            "checks": [],
        }
        return profile_rows(engine, Path(scratch) / "rows.parquet", interval, recipe.schedule.timezone, report)


def refused(days):
    return sum(one.refused for one in days)


def page(counts, real):
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
    lines += [f"| {fault} | {name} |" for fault, name in told.items()]
    names = [f"{name} ({days})" for name, days in real["told"].items()]
    lines += [
        "",
        "## Real days",
        f"Of {real['days']} days of a wholesaler (UCI Online Retail, December 2010 to August 2011; no searches, so that lines of",
        f"invoices count as independent, which they are not) {len(real['warned'])} are told and {real['refused']} refused:",
        f"{', '.join(real['warned'])}.",
        "",
        f"Days on which a number was told: {'; '.join(names)}.",
        "",
    ]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def real(tmp_path_factory, data_folder):
    return real_days(data_folder, tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def counts(tmp_path_factory, real):
    folder, found = tmp_path_factory.mktemp("days"), {}
    with duckdb_engine(folder) as engine:
        for name, shop in SHOPS.items():
            found[name] = count(list(judge_days(shop, range(DAYS), engine, folder, faults_every=FAULTS_EVERY)))
            print(name, found[name], flush=True)
    (RESULTS / "recent_past.json").write_text(json.dumps({"generated": found, "real": real}, indent=1) + "\n")
    (RESULTS / "recent_past.md").write_text(page(found, real))
    return found


@pytest.mark.parametrize("name", SHOPS)
def test_ordinary_days_are_seldom_told_and_hardly_ever_refused(counts, name):
    old = counts[name]["old"]
    assert old["days"] == DAYS - YOUNG
    assert old["warned"] <= 0.05 * old["days"]
    assert old["refused"] <= 0.01 * old["days"]


def test_no_day_of_a_real_wholesaler_is_refused_and_few_are_told(counts, real):
    assert real["days"] == 212
    assert real["refused"] == 0
    assert len(real["warned"]) <= 0.1 * real["days"]


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found_on_days_of_thousands(counts, fault):
    for name in ("2,250 impressions", "24,000 impressions"):
        found = counts[name]["faults"][fault]
        assert found["found"] >= 0.95 * found["days"]


@pytest.mark.parametrize("fault", ["a kind gone", "no descriptions"])
def test_what_is_plainly_broken_refuses_the_day(counts, fault):
    found = counts["24,000 impressions"]["faults"][fault]
    assert found["refused"] == found["days"]
