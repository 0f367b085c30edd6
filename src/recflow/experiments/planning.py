"""What an experiment is judged by, fixed before its first look: how many users, when, and each guardrail in which mode.

Everything here follows from the recipe and from traffic before the start, so that no look can choose its own rules.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Literal

import numpy as np

from recflow.config.sections.gate import Guardrail, OnlineGateSection
from recflow.config.sections.outcomes import SERVING_METRICS, OutcomeMetric, OutcomesSection
from recflow.experiments.evidence import Evidence
from recflow.experiments.group_sequential import look_users
from recflow.experiments.metrics import measure
from recflow.experiments.sequential import ConfidenceSequence

Kind = Literal["refresh", "change"]
MARGINS = 3  # a guardrail that is only not shown to be worse must be shown not to be worse by this many margins
LOOKS_SHARE = 0.9  # of the level for harm, spent by the looks at the success metric; the sequences share the rest
USERS_WITHOUT_TRAFFIC = 5000
_FEWEST_USERS = 100
_POWER = NormalDist().inv_cdf(0.9)
SURE = NormalDist().inv_cdf(0.95)


@dataclass(frozen=True)
class Traffic:
    """The line's own shoppers before the start: how many came within the judging hours, and a sample as one arm."""

    users: int
    hours: float
    sample: Evidence


@dataclass(frozen=True)
class GuardrailMode:
    """How a guardrail is judged; `why` for people. None as its name: known at the first look at `mode_users`."""

    name: Literal["shown_to_hold", "not_shown_worse"] | None
    why: str


@dataclass(frozen=True)
class OnlinePlan:
    """The rules of one experiment.

    `harm_users` are the users (both arms, as `planned_users`) at the last of the looks for harm. `noise` is each
    metric's standard deviation a user over its mean; metrics that nobody has reported have none. `users_an_hour` is
    None without traffic.
    """

    section: OnlineGateSection
    outcomes: OutcomesSection
    kind: Kind
    planned_users: int
    harm_users: int
    modes: Mapping[str, GuardrailMode]
    noise: Mapping[str, float] = field(default_factory=dict)
    users_an_hour: float | None = None

    @property
    def success(self) -> OutcomeMetric:
        """The metric that decides."""
        metric = self.outcomes.metric(self.section.success_metric)
        assert metric is not None  # the recipe was checked
        return metric

    def made_of(self, name: str) -> OutcomeMetric | str:
        """What a metric is made of: outcomes, or its own name where it is made of exposures alone."""
        return self.outcomes.metric(name) or name

    @property
    def kinds(self) -> tuple[str, ...]:
        """The outcome kinds that something is judged by."""
        names = (self.section.success_metric, *(rule.metric for rule in self.section.guardrails))
        made = [metric for name in names if (metric := self.outcomes.metric(name))]
        return tuple(dict.fromkeys(metric.kind for metric in made))

    @property
    def unreported(self) -> tuple[str, ...]:
        """Kinds of outcomes that something is judged by and nobody reported before the start; none without traffic."""
        if self.users_an_hour is None:
            return ()
        known = {metric.kind for metric in self.outcomes.metrics if metric.name in self.noise}
        return tuple(kind for kind in self.kinds if kind not in known)

    @property
    def mode_users(self) -> int:
        """Where modes that no traffic could choose are chosen: the users at the first look for harm."""
        return look_users(self.harm_users)[0]

    @property
    def harm_alpha(self) -> float:
        """The level of each sequence that can stop a candidate."""
        rules = 1 + len(self.section.guardrails) + len(self.section.slices)
        return (1 - LOOKS_SHARE) * self.section.alpha / rules

    def resolved(self, evidence: Evidence) -> "OnlinePlan":
        """The same plan; modes that were left open are chosen by both arms together, at a fixed number of users."""
        if evidence.users < self.mode_users or all(mode.name for mode in self.modes.values()):
            return self
        first = evidence.first(self.mode_users)
        noise = {rule.metric: coefficient_of_variation(first, self, rule.metric) for rule in self.section.guardrails}
        chosen = {
            rule.metric: _mode(rule, noise[rule.metric], self) for rule in self.section.guardrails
            if self.modes[rule.metric].name is None
        }  # fmt: skip
        return replace(self, modes={**self.modes, **chosen})


def plan_online(
    section: OnlineGateSection, outcomes: OutcomesSection, kind: Kind, traffic: Traffic | None
) -> OnlinePlan:
    """The plan by the line's own traffic; without any, for 5,000 users unless the recipe says how many."""
    came = max(_FEWEST_USERS, traffic.users) if traffic and traffic.users else USERS_WITHOUT_TRAFFIC
    users = section.planned_users or came
    plan = OnlinePlan(section, outcomes, kind, users, section.harm_users, {})
    noise: dict[str, float] = {}
    if traffic and traffic.users:
        names = (metric.name for metric in outcomes.metrics)
        noise = {
            name: seen for name in names if (seen := coefficient_of_variation(traffic.sample, plan, name)) is not None
        }
    if section.planned_users is None and noise:
        users = max(_FEWEST_USERS, min(users, _needed(section, kind, noise, users)))
    plan = replace(
        plan,
        planned_users=users,
        harm_users=min(users, section.harm_users),
        noise=noise,
        users_an_hour=traffic.users / traffic.hours if traffic and traffic.users else None,
    )
    return replace(plan, modes={rule.metric: _planned_mode(rule, plan) for rule in section.guardrails})


def coefficient_of_variation(evidence: Evidence, plan: OnlinePlan, name: str) -> float | None:
    """A metric's standard deviation a user over its mean, both arms together; None where there is nothing to see."""
    together = replace(evidence, treated=np.zeros(evidence.users, dtype=np.bool_))
    seen = measure(together, plan.made_of(name), plan.section.winsorise_quantile).control
    noise = math.sqrt(seen.variance * seen.users) / seen.value if seen.value > 0 else math.inf
    return noise if math.isfinite(noise) else None


def users_to_show(noise: float, margin: float, alpha: float) -> int:
    """Users (both arms) with which an equal arm is shown to hold the margin in nine cases of ten."""
    return math.ceil((2 * noise * (ConfidenceSequence(alpha, 1000).margin(1000, 1.0) + _POWER) / margin) ** 2)


def _users_to_judge_once(noise: float, margin: float) -> int:
    """Users with which three margins worse pass in one case of twenty when equal arms pass in nineteen."""
    return math.ceil((2 * noise * 2 * SURE / (MARGINS * margin)) ** 2)


def _needed(section: OnlineGateSection, kind: Kind, noise: Mapping[str, float], available: int) -> int:
    """Users that all rules together can use, of those that come; a change may need any number."""
    if kind == "change" or section.success_metric not in noise:
        return available
    needed = [users_to_show(noise[section.success_metric], section.max_relative_drop, section.alpha)]
    for rule in section.guardrails:
        if rule.metric in noise:
            shown = users_to_show(noise[rule.metric], rule.max_relative_drop, section.alpha)
            once = _users_to_judge_once(noise[rule.metric], rule.max_relative_drop)
            needed.append(once if rule.mode == "not_shown_worse" or shown > available else shown)
    return max(needed)


def _planned_mode(rule: Guardrail, plan: OnlinePlan) -> GuardrailMode:
    if rule.mode != "auto":
        return GuardrailMode(rule.mode, "as the recipe says")
    if rule.metric in SERVING_METRICS:
        return GuardrailMode("shown_to_hold", "made of every search")
    if plan.users_an_hour is None:
        return GuardrailMode(
            None, f"chosen by both arms together at {plan.mode_users:,} users: there is no earlier traffic"
        )
    return _mode(rule, plan.noise.get(rule.metric), plan)


def _mode(rule: Guardrail, noise: float | None, plan: OnlinePlan) -> GuardrailMode:
    if noise is None:
        return GuardrailMode("not_shown_worse", "nobody has reported it yet")
    needed = users_to_show(noise, rule.max_relative_drop, plan.section.alpha)
    if needed <= plan.planned_users:
        return GuardrailMode("shown_to_hold", f"{needed:,} users can show the margin of {rule.max_relative_drop:.0%}")
    return GuardrailMode(
        "not_shown_worse", f"{needed:,} users would be needed to show the margin of {rule.max_relative_drop:.0%}"
    )
