"""No number breaks a judge: evidence of any shape and size gives a decision with its reasons, and never a crash."""

import json
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fakes.made_evidence import planned
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.events import Arm
from recflow.config.sections.gate import Guardrail, OnlineSlice
from recflow.experiments.evidence import Evidence
from recflow.experiments.gate import judge_online
from recflow.experiments.report import as_text, summarise

RULES = (
    Guardrail(metric="fallback_rate"),
    Guardrail(metric="p95_ms"),
    Guardrail(metric="purchase_rate"),
    Guardrail(metric="revenue_per_user", mode="not_shown_worse"),
    Guardrail(metric="cart_rate", mode="shown_to_hold"),
)
NAMES = ("searches", "fallbacks", "slow", "count:click", "count:purchase", "value:purchase")
NUMBERS = st.one_of(
    st.sampled_from([0.0, 1.0, 2.0, 1e-300, 1e8, 1e150, 1e308, math.inf, math.nan]),
    st.floats(min_value=0, max_value=1e6),
)


@st.composite
def any_totals(draw, users):
    named = draw(st.sets(st.sampled_from(NAMES)))
    heavy = draw(st.booleans())
    numbers = NUMBERS if heavy else st.integers(0, 5).map(float)
    return {name: draw(arrays(np.float64, users, elements=numbers, fill=st.just(1.0))) for name in named}


@st.composite
def any_evidence(draw):
    users = draw(st.sampled_from([0, 1, 2, 3, 10, 60, 400]))
    arm = draw(st.sampled_from(["both", "treatment", "control"]))
    treated = {"both": np.arange(users) % 2 == 0, "treatment": np.ones(users, bool), "control": np.zeros(users, bool)}
    counts = st.integers(0, 10**9)
    return Evidence(
        treated[arm],
        draw(any_totals(users)),
        draw(any_totals(users)),
        {"head": draw(any_totals(users))},
        assigned=draw(st.dictionaries(st.sampled_from([Arm.TREATMENT, Arm.CONTROL]), counts)),
        in_both=draw(counts),
        matched=draw(counts),
        unmatched=draw(st.dictionaries(st.sampled_from(["not_shown", "other_user"]), counts)),
    )


@settings(max_examples=300, deadline=None)
@given(
    evidence=any_evidence(),
    kind=st.sampled_from(["refresh", "change"]),
    success=st.sampled_from(["ctr", "purchase_rate", "revenue_per_user"]),
    fewest=st.sampled_from([1, 50]),
    quantile=st.sampled_from([0.6, 0.99, 1.0]),
    users=st.sampled_from([10, 300]),
    alpha=st.sampled_from([0.001, 0.05, 0.4]),
)
def test_any_evidence_gives_a_decision_that_can_be_kept_and_read(
    evidence, kind, success, fewest, quantile, users, alpha
):
    rules = tuple(rule for rule in RULES if rule.metric != success)
    plan = planned(
        kind, success_metric=success, guardrails=rules, slices=(OnlineSlice(name="head"),), min_events_per_arm=fewest,
        winsorise_quantile=quantile, planned_users=users, alpha=alpha, harm_users=50,
    )  # fmt: skip
    decision = judge_online(plan, evidence)
    assert decision.reasons or decision.verdict is Verdict.PASS
    assert "NaN" not in json.dumps(decision.model_dump(mode="json"), allow_nan=True)
    told = [*evidence.totals.values(), *evidence.slices["head"].values()]
    if not all(np.isfinite(totals).all() for totals in told):
        assert decision.verdict is Verdict.INCONCLUSIVE
    if report := summarise(plan, evidence):
        as_text(report)


@settings(max_examples=100, deadline=None)
@given(evidence=any_evidence(), users=st.sampled_from([10, 300]))
def test_swapping_the_arms_never_lets_both_be_better(evidence, users):
    plan = planned("change", planned_users=users, min_events_per_arm=1)
    swapped = Evidence(~evidence.treated, evidence.totals, evidence.before)
    both = {
        judge_online(plan, one).verdict
        for one in (Evidence(evidence.treated, evidence.totals, evidence.before), swapped)
    }
    assert both != {Verdict.PASS}
