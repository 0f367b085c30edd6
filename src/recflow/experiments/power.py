"""The power of an experiment: what it will probably end with, before anything starts: hours, users, and who passes.

The rules of the gate on random walks: each metric's difference is taken as normal with the noise that the line's own
shoppers have, metrics as independent of each other, and looks at every twentieth of the planned users.
"""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from recflow.artifacts.frozen import Frozen
from recflow.experiments.group_sequential import boundaries, look_users
from recflow.experiments.planning import LOOKS_SHARE, MARGINS, SURE, OnlinePlan
from recflow.experiments.sequential import ConfidenceSequence

_RUNS, _STEPS, _SEED = 4000, 20, 20110101
DROPS = (0.0, 0.05, 0.1)
Runs = NDArray[np.bool_]


class PassProbability(Frozen):
    """The chances of a candidate that is worse by `drop` in every metric: promoted, rolled back by the judge."""

    drop: float
    promoted: float
    rolled_back: float


def pass_probabilities(plan: OnlinePlan) -> tuple[PassProbability, ...]:
    """Of an equal, a 5 % and a 10 % worse candidate, for shares in percent; none where the noise is not known."""
    rules = {rule.metric for rule in plan.section.guardrails if plan.made_of(rule.metric) != rule.metric}
    if not {plan.section.success_metric, *rules} <= set(plan.noise):
        return ()
    return tuple(_pass_probability(plan, drop) for drop in DROPS)


def _pass_probability(plan: OnlinePlan, drop: float) -> PassProbability:
    section, random = plan.section, np.random.default_rng(_SEED)
    looks = look_users(plan.harm_users)
    users = np.union1d(np.ceil(np.linspace(plan.planned_users / _STEPS, plan.planned_users, _STEPS)), looks)
    margin = section.max_relative_drop if plan.kind == "refresh" else 0.0
    walk = _Walk(plan, users, plan.noise[section.success_metric], drop, random)
    harmed, passed = walk.worse() | walk.worse_at(looks), walk.holds(margin)
    for rule in section.guardrails:
        if (noise := plan.noise.get(rule.metric)) is not None:
            walk = _Walk(plan, users, noise, drop, random)
            if plan.modes[rule.metric].name == "not_shown_worse":
                passed &= walk.not_worse(MARGINS * rule.max_relative_drop)
            else:
                harmed |= walk.worse(rule.max_relative_drop)
                passed &= walk.holds(rule.max_relative_drop)
    promoted = (passed & ~np.maximum.accumulate(harmed, axis=1)).any(axis=1)
    rolled_back = harmed.any(axis=1) & ~promoted
    return PassProbability(drop=drop, promoted=float(promoted.mean()), rolled_back=float(rolled_back.mean()))


class _Walk:
    """A metric's relative difference at each number of users, in many runs; the answers are runs by looks."""

    def __init__(
        self, plan: OnlinePlan, users: NDArray[np.float64], noise: float, drop: float, random: np.random.Generator
    ) -> None:
        self._plan, self._users = plan, users
        steps = random.normal(size=(_RUNS, len(users))) * np.sqrt(np.diff(users, prepend=0.0))
        self._errors = 2 * noise / np.sqrt(users)
        self._seen = 2 * noise * steps.cumsum(axis=1) / users - drop

    def holds(self, margin: float) -> Runs:
        return self._seen + margin - self._margin(self._plan.section.alpha) > 0

    def worse(self, margin: float = 0.0) -> Runs:
        return self._seen + margin + self._margin(self._plan.harm_alpha) < 0

    def worse_at(self, looks: tuple[int, ...]) -> Runs:
        at, worse = np.searchsorted(self._users, looks), np.zeros_like(self._seen, dtype=np.bool_)
        bounds = np.array(boundaries(LOOKS_SHARE * self._plan.section.alpha))
        worse[:, at] = self._seen[:, at] < -bounds * self._errors[at]
        return worse

    def not_worse(self, far: float) -> Runs:
        """The verdict at the planned end, at that look and before it nothing."""
        sure = NormalDist().inv_cdf(1 - self._plan.section.alpha)
        passed = (self._seen + sure * self._errors >= 0) & (self._seen + far - SURE * self._errors > 0)
        return passed & (self._users >= self._plan.planned_users)

    def _margin(self, alpha: float) -> NDArray[np.float64]:
        sequence = ConfidenceSequence(alpha, self._plan.planned_users)
        return np.array([sequence.margin(int(n), error) for n, error in zip(self._users, self._errors, strict=True)])


def significance_level(plan: OnlinePlan, metric: str, margin: float) -> float:
    """The level at which a guardrail is judged once, as far as the noise before the start tells it."""
    error = 2 * plan.noise[metric] / math.sqrt(plan.planned_users)
    return max(plan.section.alpha, NormalDist().cdf(SURE - MARGINS * margin / error) if error else 0.0)


def plan_lines(plan: OnlinePlan, *, short: bool = False) -> list[str]:
    """The plan for people: how long, how each guardrail is judged and why, who passes, what nobody reports.

    `short` leaves out the guardrails.
    """
    lines = [_length(plan)]
    if not short:
        lines += [_guardrail(plan, rule.metric, rule.max_relative_drop) for rule in plan.section.guardrails]
    lines += [f"nobody reported {kind} before: let the shop send it, or judge by others" for kind in plan.unreported]
    told = pass_probabilities(plan)
    if told:
        promoted = ", ".join(f"{chance.promoted:.0%} of {_candidates(chance.drop)}" for chance in told)
        rolled_back = ", ".join(f"{chance.rolled_back:.0%}" for chance in told)
        lines.append(f"promoted: {promoted}; rolled back: {rolled_back} (normal approximation, metrics independent)")
    else:
        lines.append("who passes is not known: that needs earlier traffic in which every judged outcome was reported")
    return lines


def _length(plan: OnlinePlan) -> str:
    looks = f"looks for harm up to {plan.harm_users:,}"
    if plan.users_an_hour is None:
        return (
            f"no earlier traffic: planned for {plan.planned_users:,} users, {looks}; how long that takes is not known"
        )
    hours = plan.planned_users / plan.users_an_hour
    return f"planned for {plan.planned_users:,} users, about {hours:,.1f} hours of the line's own traffic; {looks}"


def _candidates(drop: float) -> str:
    return f"candidates {drop:.0%} worse" if drop else "equal candidates"


def _guardrail(plan: OnlinePlan, metric: str, margin: float) -> str:
    mode = plan.modes[metric]
    if mode.name is None:
        return f"{metric}: {mode.why}"
    if mode.name == "shown_to_hold":
        return f"{metric}: to be shown to hold {margin:.0%} at any look ({mode.why})"
    at = f" at a level of {significance_level(plan, metric, margin):.0%}" if metric in plan.noise else ""
    return f"{metric}: judged once, not to be shown worse{at}, at {plan.planned_users:,} users ({mode.why})"
