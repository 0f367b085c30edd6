"""The short seeded version of tests/proof/test_online_gate_error_rates.py: experiments through the real reader."""

from fakes.simulated_experiment import Effects, plan, read, simulate
from recflow.artifacts.decisions import Verdict
from recflow.config.sections.gate import Guardrail, OnlineGateSection
from recflow.experiments.gate import judge_online

RULES = tuple(Guardrail(metric=name) for name in ("purchase_rate", "fallback_rate", "p95_ms", "revenue_per_user"))


def verdicts(effects: Effects, users: int, seeds: range, **section) -> list[Verdict]:
    """What each experiment has come to when `users` are in; 20,000 are planned unless the section says otherwise."""
    gate = OnlineGateSection(**{"max_relative_drop": 0.1, "planned_users": 20_000, "guardrails": RULES, **section})
    logs = (simulate(seed, users, effects) for seed in seeds)
    return [judge_online(plan(log, gate), read(log, users)).verdict for log in logs]


def test_equal_candidates_reach_stable():
    assert verdicts(Effects(), 20_000, range(3)).count(Verdict.PASS) >= 2


def test_a_tenth_fewer_clicks_is_rolled_back_within_3200_users():
    assert verdicts(Effects(clicks=0.9), 3_200, range(10)).count(Verdict.FAIL) >= 9


def test_purchases_that_are_worse_by_three_margins_never_reach_stable_though_rare_purchases_are_judged_once():
    assert verdicts(Effects(purchases=0.7), 20_000, range(3)).count(Verdict.PASS) == 0
