"""What two equal arms show about the judge itself: the check that comes before trust in any experiment."""

from dataclasses import replace

import numpy as np

from recflow.artifacts.decisions import Decision, Verdict
from recflow.artifacts.frozen import Frozen
from recflow.experiments.evidence import Evidence
from recflow.experiments.gate import judge_online
from recflow.experiments.group_sequential import look_users
from recflow.experiments.planning import OnlinePlan, coefficient_of_variation
from recflow.experiments.sample_ratio import sample_ratio_p
from recflow.experiments.sequential import ConfidenceSequence


class MetricNoise(Frozen):
    """A metric's standard error with the users so far, as a share of it, and the margin that they can show.

    Both None for a metric that nobody has reported.
    """

    metric: str
    relative_error: float | None
    margin: float | None


class AAReport(Frozen):
    """The verdict on the arms as they were, and how often the judge errs when the same users are split again.

    `rolled_back` and `promoted_as_better` are shares of `splits` in which some look gave that verdict; `alpha` is what
    they may be at most. `ratio_p` below `online_gate.ratio_stop_p` says that the arms were not equal halves.
    """

    decision: Decision
    users: int
    ratio_p: float
    alpha: float
    splits: int
    looks: int
    rolled_back: float
    promoted_as_better: float
    noise: tuple[MetricNoise, ...]


def aa_report(plan: OnlinePlan, evidence: Evidence, *, splits: int = 100, seed: int = 20110101) -> AAReport:
    """The report of an A/A experiment; the same evidence gives the same report.

    The users are split by chance again and again and judged as a change, whose PASS says "better", at the planned
    looks for harm and at the last user.
    """
    random = np.random.default_rng(seed)
    change = replace(plan.resolved(evidence), kind="change")
    looks = sorted({users for users in look_users(plan.harm_users) if users < evidence.users} | {evidence.users})
    ended = [_first_verdict(change, _split_again(evidence, random), looks) for _ in range(splits)]
    return AAReport(
        decision=judge_online(plan, evidence),
        users=evidence.users,
        ratio_p=sample_ratio_p(evidence),
        alpha=plan.section.alpha,
        splits=splits,
        looks=len(looks),
        rolled_back=ended.count(Verdict.FAIL) / max(1, splits),
        promoted_as_better=ended.count(Verdict.PASS) / max(1, splits),
        noise=tuple(_noise(plan, evidence, name) for name in _judged(plan)),
    )


def _split_again(evidence: Evidence, random: np.random.Generator) -> Evidence:
    """The same users in arms drawn anew; what was counted by arm before the users were chosen is left out."""
    return replace(evidence, treated=random.random(evidence.users) < 0.5, assigned={}, in_both=0, programs={})


def _first_verdict(plan: OnlinePlan, evidence: Evidence, looks: list[int]) -> Verdict:
    for users in looks:
        verdict = judge_online(plan, evidence.first(users)).verdict
        if verdict in {Verdict.PASS, Verdict.FAIL}:
            return verdict
    return Verdict.INCONCLUSIVE


def _judged(plan: OnlinePlan) -> tuple[str, ...]:
    guarded = (rule.metric for rule in plan.section.guardrails if plan.outcomes.metric(rule.metric))
    return tuple(dict.fromkeys((plan.section.success_metric, *guarded)))


def _noise(plan: OnlinePlan, evidence: Evidence, name: str) -> MetricNoise:
    noise = coefficient_of_variation(evidence, plan, name)
    if noise is None:
        return MetricNoise(metric=name, relative_error=None, margin=None)
    error = 2 * noise / evidence.users**0.5
    margin = ConfidenceSequence(plan.section.alpha, plan.planned_users).margin(evidence.users, error)
    return MetricNoise(metric=name, relative_error=error, margin=margin)
