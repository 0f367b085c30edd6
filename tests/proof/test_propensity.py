"""How far the estimate of how shoppers look is from the truth, on generated shops that are tried in different ways."""

import json
import math
from collections import Counter
from pathlib import Path
from statistics import fmean, pstdev

import pytest

from fakes.shown_log import estimated, shop_days

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
SEEDS = range(20)
DAYS, ROWS = 3, 20_000
SHOPS = {
    "a swap in one search of ten": {"swaps": 0.1, "eta": 0.5},
    "a swap in three searches of ten": {"swaps": 0.3, "eta": 0.5},
    "a swap in three searches of ten, shoppers look less far": {"swaps": 0.3, "eta": 1.0},
    "every search in an order of its own": {"swaps": None, "eta": 0.5},
    "an order that never changes": {"swaps": 0.0, "eta": 0.5},
}


def naive_eta(days):
    """What clicks by position say when nobody asks why an item stood there."""
    shown, clicked = Counter(), Counter()
    for event in (event for day in days for event in day):
        if event["kind"] in ("impression", "click"):
            (shown if event["kind"] == "impression" else clicked)[event["position"]] += 1
    rates = {place: clicked[place] / shown[place] / (clicked[1] / shown[1]) for place in shown if clicked[place]}
    depths = {place: math.log(place) for place in rates}
    return -sum(depths[p] * math.log(rates[p]) for p in rates) / sum(depth**2 for depth in depths.values())


def measure(behaviour):
    """Over the seeds: estimates, intervals and errors of the curve, beside what the clicks alone say."""
    etas, naive, inside, widths, curve = [], [], [], [], []
    truth = behaviour["eta"]
    for seed in SEEDS:
        days = list(shop_days(DAYS, seed=seed, rows=ROWS, **behaviour))
        found = estimated(days)
        naive.append(naive_eta(days))
        if found.eta is None:
            continue
        etas.append(found.eta.value)
        inside.append(found.eta.low <= truth <= found.eta.high)
        widths.append((found.eta.high - found.eta.low) / 2)
        curve += [abs(share.value - place**-truth) for place, share in found.by_position.items() if place <= 10]
    return {
        "truth": truth,
        "told": len(etas),
        "shops": len(SEEDS),
        "bias": fmean(etas) - truth if etas else None,
        "deviation": pstdev(etas) if etas else None,
        "mean_error": fmean(abs(eta - truth) for eta in etas) if etas else None,
        "half_width": fmean(widths) if etas else None,
        "inside": fmean(inside) if etas else None,
        "curve_error": fmean(curve) if curve else None,
        "naive": fmean(naive),
    }


@pytest.fixture(scope="module")
def measured():
    return {name: measure(behaviour) for name, behaviour in SHOPS.items()}


def test_the_estimate_is_near_the_truth_wherever_ranks_were_changed(measured):
    (RESULTS / "propensity.json").write_text(json.dumps(measured, indent=1) + "\n")
    (RESULTS / "propensity.md").write_text(page(measured), encoding="utf-8")
    still = measured.pop("an order that never changes")
    assert still["told"] == 0
    for name, found in measured.items():
        assert found["told"] == len(SEEDS), name
        assert abs(found["bias"]) < 0.05, name
        assert found["inside"] >= 0.8, name
        assert found["mean_error"] < 0.1, name


def shown(value):
    return "–" if value is None else f"{value:.3f}"


def page(measured):
    rows = "\n".join(
        f"| {name} | {found['truth']:g} | {found['told']} of {found['shops']} | {shown(found['bias'])} |"
        f" {shown(found['mean_error'])} | {shown(found['half_width'])} | {shown(found['inside'])} |"
        f" {shown(found['curve_error'])} | {shown(found['naive'])} |"
        for name, found in measured.items()
    )
    return f"""# How near the estimate of position bias comes to the truth

Written by `tests/proof/test_propensity.py`: generated shops whose shoppers look at position k with probability
k**-eta, {len(SEEDS)} shops a row, {DAYS} days of some {ROWS:,} showings each; the clicks are simulated.
`recflow data propensity` computes the same. A swap puts another item first; the order stays otherwise. `bias` is the
mean of the estimates less the truth, `curve` the mean error of positions 2 to 10, `clicks alone` the eta that clicks by
position say; intervals are of 95 %.

| what is tried | true eta | can tell | bias | mean error | half of the interval | inside | curve | clicks alone |
|---|---|---|---|---|---|---|---|---|
{rows}

Clicks alone mix what is seen with what fits: the better a ranker is, the steeper they fall. Where no rank changes they
are all that there is, and the command says that it cannot tell.
"""
