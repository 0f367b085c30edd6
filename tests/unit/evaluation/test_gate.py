import random
from functools import partial

import pytest

from recflow.artifacts.decisions import Verdict
from recflow.config.sections.gate import ChangeRule, OfflineGateSection, SliceRule, ValueRule
from recflow.evaluation import gate
from recflow.evaluation.evidence import Evidence
from recflow.tasks.relevance.task import TASK

decide = partial(gate.decide, metrics=TASK.metrics)

METRICS = ("ndcg@10", "mrr", "recall@10", "f1")


def metrics(mean, n=100, spread=0.05, seed=0, **others):
    """Every metric with these queries; named metrics may be given as lists."""
    chance = random.Random(seed)
    values = [mean + spread * chance.uniform(-1, 1) for _ in range(n)]
    return {name: others.get(name.split("@")[0], values) for name in METRICS}


def shifted(by_query, shift, noise=0.01, seed=1):
    chance = random.Random(seed)
    return {name: [v + shift + noise * chance.uniform(-1, 1) for v in values] for name, values in by_query.items()}


def without(by_query, metric):
    return {name: values for name, values in by_query.items() if name != metric}


BASE = metrics(0.8)
SECTION = OfflineGateSection(changes=(ChangeRule(metric="ndcg@10", max_drop=0.02),))


def verdict_on(shift, *, section=SECTION, noise=0.01, **evidence):
    return decide(section, Evidence({"": shifted(BASE, shift, noise)}, {"": BASE}, **evidence))


class TestChangeRules:
    def test_an_equal_candidate_passes(self):
        assert verdict_on(0).verdict is Verdict.PASS

    def test_a_candidate_within_the_margin_passes_though_it_is_worse(self):
        assert verdict_on(-0.01).verdict is Verdict.PASS

    def test_a_candidate_that_is_worse_for_certain_fails(self):
        decision = verdict_on(-0.05)
        assert decision.verdict is Verdict.FAIL
        assert "worse for certain" in decision.reasons[0]

    def test_an_interval_wider_than_the_margin_is_inconclusive(self):
        base = metrics(0.6)
        decision = decide(SECTION, Evidence({"": shifted(base, 0, noise=0.3)}, {"": base}))
        assert decision.verdict is Verdict.INCONCLUSIVE
        assert "cannot tell" in decision.reasons[0]

    def test_a_fine_interval_that_reaches_below_the_margin_fails(self):
        differences = [0.0645, -0.0885] * 50
        candidate = {"ndcg@10": [0.8 + d for d in differences]}
        decision = decide(SECTION, Evidence({"": candidate}, {"": {"ndcg@10": [0.8] * 100}}))
        finding = next(f for f in decision.findings if f.limit == -0.02)
        assert finding.high > 0
        assert "may lie below" in finding.reason
        assert decision.verdict is Verdict.FAIL

    def test_the_bound_is_judged_and_not_the_point(self):
        finding = next(f for f in verdict_on(-0.019, noise=0.02).findings if f.limit == -0.02)
        assert finding.value > -0.02 > finding.low
        assert finding.verdict is Verdict.FAIL

    def test_without_a_serving_model_the_rule_is_skipped_and_that_is_said(self):
        decision = decide(SECTION, Evidence({"": BASE}))
        assert decision.verdict is Verdict.PASS
        assert any("skipped" in reason and "first model" in reason for reason in decision.reasons)

    def test_a_serving_model_near_zero_is_inconclusive(self):
        decision = decide(SECTION, Evidence({"": BASE}, {"": metrics(0.002, spread=0.001)}))
        assert decision.verdict is Verdict.INCONCLUSIVE
        assert "near 0" in decision.reasons[0]

    def test_a_missing_metric_fails_by_name(self):
        section = OfflineGateSection(changes=(ChangeRule(metric="f1", max_drop=0.02),))
        decision = decide(section, Evidence({"": without(BASE, "f1")}, {"": BASE}))
        assert decision.verdict is Verdict.FAIL
        assert "metric f1 is missing" in decision.reasons[0]

    def test_a_metric_that_no_query_can_tell_is_inconclusive_with_the_count(self):
        section = OfflineGateSection(changes=(ChangeRule(metric="recall@10", max_drop=0.02),))
        sides = {"": metrics(0.8, recall=[None] * 100)}
        decision = decide(section, Evidence(sides, sides))
        assert decision.verdict is Verdict.INCONCLUSIVE
        assert "none of 100 queries can tell" in decision.reasons[0]

    def test_a_metric_that_few_queries_can_tell_does_not_pass_on_them(self):
        section = OfflineGateSection(changes=(ChangeRule(metric="recall@10", max_drop=0.02),))
        sides = {"": metrics(0.8, recall=[0.5] * 3 + [None] * 97)}
        decision = decide(section, Evidence(sides, sides))
        assert decision.verdict is Verdict.INCONCLUSIVE
        assert "only 3 queries can tell" in decision.reasons[0]

    def test_the_same_evidence_gives_the_same_decision(self):
        assert verdict_on(-0.004) == verdict_on(-0.004)


class TestValueRules:
    @pytest.mark.parametrize(("minimum", "verdict"), [(0.5, Verdict.PASS), (0.75, Verdict.PASS), (0.76, Verdict.FAIL)])
    def test_the_bound_is_inclusive(self, minimum, verdict):
        section = OfflineGateSection(values=(ValueRule(metric="mrr", minimum=minimum),), changes=())
        assert decide(section, Evidence({"": metrics(0.8, mrr=[0.75] * 100)})).verdict is verdict

    def test_a_missing_metric_fails_by_name(self):
        section = OfflineGateSection(values=(ValueRule(metric="mrr", minimum=0.1),), changes=())
        decision = decide(section, Evidence({"": without(BASE, "mrr")}))
        assert decision.verdict is Verdict.FAIL
        assert "metric mrr is missing" in decision.reasons[0]


class TestFloors:
    @pytest.mark.parametrize("floor", ["bm25", "untrained"])
    def test_a_candidate_below_a_floor_fails_though_it_beats_the_serving_model(self, floor):
        decision = verdict_on(0.01, floors={floor: shifted(BASE, 0.1)})
        assert decision.verdict is Verdict.FAIL
        assert floor in decision.reasons[0]

    def test_floors_judge_the_first_model_too(self):
        assert decide(SECTION, Evidence({"": BASE}, None, {"bm25": shifted(BASE, 0.1)})).verdict is Verdict.FAIL

    def test_a_candidate_above_its_floors_passes(self):
        assert verdict_on(0, floors={"bm25": shifted(BASE, -0.03)}).verdict is Verdict.PASS


class TestSlices:
    def section(self, **rule):
        return SECTION.model_copy(update={"slices": (SliceRule(name="tail", min_queries=20, **rule),)})

    def judged(self, section, part):
        slices = {"": BASE} | ({"tail": part} if part else {})
        return decide(section, Evidence(slices, slices))

    def test_an_absent_slice_fails_by_name(self):
        decision = self.judged(self.section(), None)
        assert decision.verdict is Verdict.FAIL
        assert "tail" in decision.reasons[0]

    def test_a_small_slice_is_listed_and_does_not_block(self):
        decision = self.judged(self.section(), metrics(0.8, n=5))
        assert decision.verdict is Verdict.PASS
        assert Verdict.NOT_EVALUATED in {finding.verdict for finding in decision.findings}
        assert any("not judged" in reason for reason in decision.reasons)

    def test_a_small_slice_that_is_required_blocks(self):
        assert self.judged(self.section(required=True), metrics(0.8, n=5)).verdict is Verdict.INCONCLUSIVE

    def test_a_slice_that_got_worse_fails_though_all_rows_are_equal(self):
        rule = ChangeRule(metric="ndcg@10", max_drop=0.02, slice="tail")
        section = self.section().model_copy(update={"changes": (rule,)})
        tail = metrics(0.8, n=40)
        decision = decide(section, Evidence({"": BASE, "tail": shifted(tail, -0.1)}, {"": BASE, "tail": tail}))
        assert decision.verdict is Verdict.FAIL
        assert "tail" in decision.reasons[0]

    def test_a_value_rule_reads_its_slice(self):
        rule = ValueRule(metric="ndcg@10", minimum=0.7, slice="tail")
        section = self.section().model_copy(update={"values": (rule,)})
        assert self.judged(section, metrics(0.6, n=40)).verdict is Verdict.FAIL

    def test_a_slice_counts_the_queries_that_can_tell(self):
        tail = metrics(0.8, n=40, ndcg=[0.8] * 5 + [None] * 35)
        decision = self.judged(self.section(required=True), tail)
        assert decision.verdict is Verdict.INCONCLUSIVE
        assert "5 of 40 queries in tail can tell" in decision.reasons[0]


class TestQueriesThatCannotTell:
    def test_beside_them_a_loss_is_as_large_as_without_them(self):
        silent = [None] * 300
        worse = {"ndcg@10": [0.6, 0.7] * 20 + silent}
        base = {"ndcg@10": [0.8] * 40 + silent}
        decision = decide(SECTION, Evidence({"": worse}, {"": base}))
        assert decision.verdict is Verdict.FAIL
        assert decision.numbers["ndcg_change"][0] == pytest.approx(-0.15)

    def test_their_number_is_told(self):
        sides = {"": {"ndcg@10": [0.8] * 40 + [None] * 300}}
        decision = decide(SECTION, Evidence(sides, sides))
        assert decision.findings[0].reason.startswith("40 of 340 test queries can tell")
        assert (decision.numbers["queries"], decision.numbers["test_queries"]) == (40, 340)

    def test_a_test_set_of_them_alone_is_inconclusive_with_the_count(self):
        sides = {"": {"ndcg@10": [None] * 30}}
        decision = decide(SECTION, Evidence(sides, sides))
        assert decision.verdict is Verdict.INCONCLUSIVE
        assert any("0 of 30 test queries" in reason for reason in decision.reasons)


class TestAnswers:
    def test_a_query_without_an_answer_fails_the_candidate_with_the_reason_and_the_count(self):
        decision = verdict_on(0, failures=("KeyError: 'x'",) * 3)
        assert decision.verdict is Verdict.FAIL
        assert "leaves 3 test queries without one, the first by KeyError: 'x'" in decision.reasons[0]
        assert decision.numbers["unanswered"] == 3

    def test_what_the_serving_model_does_not_answer_is_told_and_does_not_bind_the_candidate(self):
        decision = verdict_on(0, baseline_failures=("KeyError: 'x'",) * 3)
        assert decision.verdict is Verdict.PASS
        assert any("the package that serves leaves 3" in reason for reason in decision.reasons)


def test_too_few_test_queries_are_inconclusive():
    few = metrics(0.8, n=10)
    assert decide(SECTION, Evidence({"": few}, {"": few})).verdict is Verdict.INCONCLUSIVE


def test_a_failure_beats_a_doubt():
    section = SECTION.model_copy(update={"min_queries": 1000})
    assert verdict_on(-0.2, section=section).verdict is Verdict.FAIL


def test_the_numbers_for_people_hold_every_rival_with_its_interval():
    numbers = verdict_on(0.01, floors={"bm25": shifted(BASE, -0.1)}).numbers
    for name in ("ndcg_candidate", "ndcg_baseline", "ndcg_bm25", "ndcg_change"):
        mean, low, high = numbers[name]
        assert low <= mean <= high
    assert numbers["attainable_margin"] > 0
