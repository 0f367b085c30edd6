"""Evidence without an event log: arms of users with what they did, drawn by a seed."""

from dataclasses import replace

import numpy as np

from recflow.artifacts.events import Arm
from recflow.config.sections.gate import OnlineGateSection
from recflow.config.sections.outcomes import OutcomesSection
from recflow.experiments.evidence import Evidence
from recflow.experiments.planning import Kind, OnlinePlan, plan_online


def made(users: int, *, rate: float = 0.4, effect: float = 1.0, purchases: float = 0.1, seed: int = 3) -> Evidence:
    """Clicks at `rate` a search, `effect` times that in treatment; everybody has searched before, none was slow."""
    random = np.random.default_rng(seed)
    treated = np.arange(users) % 2 == 1
    own, earlier, searches = random.beta(4, 6, users), random.integers(1, 4, users), random.integers(1, 5, users)
    clicks = random.binomial(searches, np.minimum(1, own / 0.4 * rate * np.where(treated, effect, 1)))
    bought = random.binomial(searches, purchases)
    totals = {
        "searches": searches, "fallbacks": np.zeros(users), "slow": np.zeros(users), "count:click": clicks,
        "count:purchase": bought, "value:purchase": bought * random.lognormal(3, 1, users),
    }  # fmt: skip
    before = {"searches": earlier, "count:click": random.binomial(earlier, np.minimum(1, own / 0.4 * rate))}
    assigned = {Arm.TREATMENT: int(treated.sum()), Arm.CONTROL: int((~treated).sum())}
    return Evidence(treated, _floats(totals), _floats(before), assigned=assigned)


def _floats(totals):
    return {name: values.astype(float) for name, values in totals.items()}


def with_totals(evidence: Evidence, **changed: np.ndarray) -> Evidence:
    """The same with other totals; a kind is written `count_click` here."""
    named = {name.replace("_", ":", 1): values for name, values in changed.items()}
    return replace(evidence, totals={**evidence.totals, **named})


def planned(kind: Kind = "refresh", **section) -> OnlinePlan:
    """A plan without earlier traffic."""
    return plan_online(OnlineGateSection(**section), OutcomesSection(), kind, None)
