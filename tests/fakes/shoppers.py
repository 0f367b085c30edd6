"""Exposures and outcomes of made-up shoppers, one at a time or many."""

from datetime import UTC, datetime, timedelta
from itertools import count

import numpy as np

from recflow.artifacts.events import Arm, Exposure, Fallback, Outcome, ShownItem
from recflow.domain.assignment import BUCKETS, bucket

START = datetime(2011, 1, 5, tzinfo=UTC)
EXPERIMENT = "release-1-v2:judging"
_numbers = count()


def shown(user: str, arm: Arm, at_s: float, **changes) -> Exposure:
    fields = {
        "request_id": f"r{next(_numbers)}",
        "at": START + timedelta(seconds=at_s),
        "recipe": "shop_search",
        "user_key": user,
        "anonymous": False,
        "epoch": 1,
        "experiment": EXPERIMENT,
        "arm": arm,
        "assigned_version": "v2" if arm is Arm.TREATMENT else "v1",
        "served_version": "v2" if arm is Arm.TREATMENT else "v1",
        "fallback": Fallback.NONE,
        "query": "shoe",
        "items": (ShownItem(item_id="i1", position=1, score=1.0),),
        "latency_ms": 10.0,
    }
    return Exposure(**{**fields, **changes})


def acted(exposure: Exposure, after_s: float, kind: str = "click", **changes) -> Outcome:
    fields = {
        "outcome_id": f"o{next(_numbers)}",
        "request_id": exposure.request_id,
        "at": exposure.at + timedelta(seconds=after_s),
        "recipe": exposure.recipe,
        "user_key": exposure.user_key,
        "kind": kind,
        "item_id": "i1",
    }
    return Outcome(**{**fields, **changes})


def crowd(users: int, clicks: dict[Arm, float], seed: int = 7, **changes) -> list[Exposure | Outcome]:
    """One user a second, each with one to four searches in the first minute and clicks at the arm's rate."""
    random, records = np.random.default_rng(seed), []
    for number in range(users):
        user = f"u{number}"
        arm = Arm.TREATMENT if bucket(f"crowd-{seed}", user) < BUCKETS // 2 else Arm.CONTROL
        for search in range(random.integers(1, 5)):
            exposure = shown(user, arm, number + 15 * search, **changes)
            records.append(exposure)
            if random.random() < clicks[arm]:
                records.append(acted(exposure, 3))
    return records
