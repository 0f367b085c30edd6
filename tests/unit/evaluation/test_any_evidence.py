"""Whatever stands in the evidence, the offline gate gives a decision, and never passes on what is no number."""

import math
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recflow.artifacts.decisions import Decision, Verdict
from recflow.config.sections.gate import ChangeRule, OfflineGateSection, SliceRule, ValueRule
from recflow.evaluation import gate
from recflow.evaluation.evidence import Evidence
from recflow.tasks.relevance.task import TASK

decide = partial(gate.decide, metrics=TASK.metrics)
METRICS = tuple(TASK.metrics.by_name)

SECTION = OfflineGateSection(
    values=(ValueRule(metric="mrr", minimum=0.0),),
    changes=(ChangeRule(metric="ndcg@10", max_drop=0.99), ChangeRule(metric="f1", max_drop=0.5, slice="tail")),
    floor_margin=0.99,
    slices=(SliceRule(name="tail", min_queries=2),),
    min_queries=2,
    bootstrap_samples=200,
)
SOUND = st.none() | st.floats(0, 1)
BROKEN = st.sampled_from([math.nan, math.inf, -math.inf, -1e-9, 1.0000001, 1e308, -1e308])
QUERIES = st.integers(0, 6)


def metrics(values, queries):
    return st.fixed_dictionaries(
        {}, optional={name: st.lists(values, min_size=queries, max_size=queries) for name in METRICS}
    )


def parts(values, queries):
    return st.fixed_dictionaries({}, optional={name: metrics(values, queries) for name in ("", "tail")})


def evidence(values):
    return QUERIES.flatmap(
        lambda n: st.builds(
            Evidence,
            parts(values, n),
            st.none() | parts(values, n),
            st.fixed_dictionaries({}, optional={"bm25": metrics(values, n)}),
            st.lists(st.text(max_size=5), max_size=2),
            st.lists(st.text(max_size=5), max_size=2),
        )
    )


def numbers_in(given):
    sides = [*given.candidate.values(), *(given.baseline or {}).values(), *given.floors.values()]
    return [value for metrics in sides for values in metrics.values() for value in values if value is not None]


@settings(max_examples=60, deadline=None)
@given(given=evidence(SOUND | BROKEN))
def test_any_evidence_gets_a_decision_with_a_reason_that_can_be_stored(given):
    decision = decide(SECTION, given)
    assert decision.reasons
    assert Decision.model_validate_json(decision.model_dump_json()) == decision


@settings(max_examples=60, deadline=None)
@given(given=evidence(SOUND | BROKEN))
def test_a_number_that_is_none_never_passes(given):
    broken = [value for value in numbers_in(given) if not 0 <= value <= 1]
    decision = decide(SECTION, given)
    if broken:
        assert decision.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)
        assert any("no number from 0 to 1" in reason for reason in decision.reasons)


@settings(max_examples=60, deadline=None)
@given(given=evidence(SOUND))
def test_nothing_passes_on_fewer_queries_than_are_asked_for(given):
    told = [value for value in given.candidate.get("", {}).get("ndcg@10", []) if value is not None]
    if len(told) < SECTION.min_queries or given.failures:
        assert not decide(SECTION, given).passed


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1e308, 1e308])
@pytest.mark.parametrize("side", ["candidate", "baseline", "bm25"])
def test_one_value_that_is_no_number_is_told_with_its_side_and_its_count(bad, side):
    sides = {name: {"": dict.fromkeys(METRICS, [0.8] * 40)} for name in ("candidate", "baseline", "bm25")}
    sides[side] = {"": {**sides[side][""], "ndcg@10": [0.8] * 39 + [bad]}}
    decision = decide(
        OfflineGateSection(), Evidence(sides["candidate"], sides["baseline"], {"bm25": sides["bm25"][""]})
    )
    assert decision.verdict is (Verdict.FAIL if side == "candidate" else Verdict.INCONCLUSIVE)
    assert "no number from 0 to 1 for 1 of 40 queries" in decision.reasons[0]


def test_lists_of_different_lengths_are_a_bug_that_is_raised():
    with pytest.raises(ValueError, match="zip"):
        decide(OfflineGateSection(), Evidence({"": {"ndcg@10": [0.8] * 30}}, {"": {"ndcg@10": [0.8] * 29}}))
