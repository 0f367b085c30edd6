"""Whole experiments as an event log: returning shoppers with a taste of their own, who have searched before."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from fakes.fake_event_log import FakeEventLog
from recflow.config.recipe import Recipe
from recflow.config.sections.gate import OnlineGateSection
from recflow.experiments.evidence import Design, Evidence
from recflow.experiments.planning import Kind, OnlinePlan, plan_online
from recflow.experiments.readers import read_evidence
from recflow.experiments.traffic import read_traffic

START = datetime(2011, 1, 20, tzinfo=UTC)
EXPERIMENT = "release-1-v2:judging"
ITEMS, WINDOW_S, BEFORE_DAYS = 10, 1800, 13
_ITEM_IDS = np.array([f"i{number}" for number in range(ITEMS)])


@dataclass(frozen=True)
class Effects:
    """Factors of the treatment: on click rates, on purchase rates, on what a purchase is worth."""

    clicks: float = 1.0
    purchases: float = 1.0
    values: float = 1.0


@dataclass(frozen=True)
class _Searches:
    """One entry a search: its user, time in seconds after START, and whether that user's treatment has an effect."""

    user: np.ndarray
    at_s: np.ndarray
    touched: np.ndarray


def simulate(seed: int, users: int, effects: Effects = Effects()) -> FakeEventLog:
    """An event log of one experiment; a user enters each second.

    A user's click rate an item is beta(2, 6) * 0.4, a search shows 10 items, a user has 1 + Poisson(1.2) searches and
    none to three before the start, purchases follow 3 % of searches, values are log-normal(3.2, 1.1).
    """
    random = np.random.default_rng(seed)
    treated, taste = random.random(users) < 0.5, random.beta(2, 6, users) * 0.4
    entered = np.arange(users, dtype=float)
    now = _searches(random, 1 + random.poisson(1.2, users), entered, treated)
    earlier = _searches(random, random.integers(0, 4, users), entered, np.zeros(users, dtype=bool))
    days = -random.uniform(0.1, BEFORE_DAYS, len(earlier.user)) * 86_400
    earlier = _Searches(earlier.user, days, earlier.touched)
    log = FakeEventLog()
    for part, searches in (("now", now), ("before", earlier)):
        ids = np.char.add(f"{part}-", np.arange(len(searches.user)).astype(str))
        running = part == "now"
        log.feed(
            _exposures(random, ids, searches, treated if running else None),
            _outcomes(random, ids, searches, taste, effects),
        )
    return log


def _searches(random, number, entered, touched) -> _Searches:
    """The first of a user's searches as it enters, the others inside the outcome window."""
    user = np.repeat(np.arange(len(number)), number)
    first = np.r_[True, user[1:] != user[:-1]] if len(user) else np.zeros(0, dtype=bool)
    return _Searches(
        user, entered[user] + np.where(first, 0, random.uniform(1, WINDOW_S - 100, len(user))), touched[user]
    )


def _exposures(random, ids, searches, treated) -> pa.Table:
    number = len(ids)
    item = pa.StructArray.from_arrays(
        [pa.array(np.tile(_ITEM_IDS, number)), pa.array(np.tile(np.arange(1, ITEMS + 1), number)),
         pa.array(np.ones(number * ITEMS)), pa.nulls(number * ITEMS, pa.float64())],
        names=["item_id", "position", "score", "propensity"],
    )  # fmt: skip
    arm = np.full(number, "stable") if treated is None else np.where(treated[searches.user], "treatment", "control")
    return pa.table(
        {
            "request_id": ids,
            "at": _times(searches.at_s),
            "recipe": ["shop_search"] * number,
            "user_key": _keys(searches.user),
            "experiment": ["" if treated is None else EXPERIMENT] * number,
            "arm": arm,
            "fallback": [""] * number,
            "query": ["shoe"] * number,
            "items": pa.ListArray.from_arrays(np.arange(0, number * ITEMS + 1, ITEMS, dtype=np.int32), item),
            "latency_ms": random.lognormal(3, 0.3, number),
        }
    )


def _outcomes(random, ids, searches, taste, effects: Effects) -> pa.Table:
    rate = taste[searches.user] * np.where(searches.touched, effects.clicks, 1)
    clicked, item = np.nonzero(random.random((len(ids), ITEMS)) < rate[:, None])
    bought = np.flatnonzero(random.random(len(ids)) < 0.03 * np.where(searches.touched, effects.purchases, 1))
    values = random.lognormal(3.2, 1.1, len(bought)) * np.where(searches.touched[bought], effects.values, 1)
    search = np.r_[clicked, bought]
    kinds = np.r_[np.full(len(clicked), "click"), np.full(len(bought), "purchase")]
    return pa.table(
        {
            "outcome_id": np.char.add(np.char.add(ids[search], "-"), np.arange(len(search)).astype(str)),
            "request_id": ids[search],
            "at": _times(searches.at_s[search] + 5),
            "recipe": ["shop_search"] * len(search),
            "user_key": _keys(searches.user[search]),
            "kind": kinds,
            "item_id": _ITEM_IDS[np.r_[item, random.integers(0, ITEMS, len(bought))]],
            "value": np.r_[np.zeros(len(clicked)), values],
        }
    )


def _keys(users: np.ndarray) -> np.ndarray:
    return np.char.add("u", users.astype(str))


def _times(seconds: np.ndarray) -> pa.Array:
    start = np.datetime64(START.replace(tzinfo=None), "us")
    return pa.array(start + (seconds * 1e6).astype("timedelta64[us]")).cast(pa.timestamp("us", tz="UTC"))


def read(log: FakeEventLog, users: int) -> Evidence:
    """The evidence of the experiment when every window has closed."""
    design = Design(
        recipe="shop_search", experiment=EXPERIMENT, start=START, window=timedelta(seconds=WINDOW_S),
        look_back=timedelta(days=BEFORE_DAYS + 1),
    )  # fmt: skip
    return read_evidence(log, design, START + timedelta(seconds=users + WINDOW_S + 1))


def plan(log: FakeEventLog, section: OnlineGateSection, kind: Kind = "refresh") -> OnlinePlan:
    """The plan by the traffic before the experiment."""
    recipe = Recipe(name="shop_search", owner="search", online_gate=section)
    return plan_online(section, recipe.outcomes, kind, read_traffic(log, recipe, START, 72))
