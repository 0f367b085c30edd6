import dataclasses

import numpy as np
import pytest

from fakes.made_evidence import made, with_totals
from recflow.config.sections.gate import Guardrail, OnlineGateSection
from recflow.config.sections.outcomes import OutcomesSection
from recflow.experiments.planning import Traffic, plan_online
from recflow.experiments.power import pass_probabilities, plan_lines

RULES = tuple(Guardrail(metric=name) for name in ("purchase_rate", "fallback_rate", "cart_rate"))


def plan(users=40_000, *, traffic=True, purchases=0.03, rules=RULES, kind="refresh", **section):
    sample = made(4000, purchases=purchases)
    seen = Traffic(users, 72.0, sample) if traffic else None
    return plan_online(OnlineGateSection(guardrails=rules, **section), OutcomesSection(), kind, seen)


def test_a_line_that_few_visit_plans_for_those_who_come_within_the_judging_hours():
    assert plan(1800).planned_users == 1800


@pytest.mark.parametrize("clicks", [True, False])
def test_hardly_any_earlier_traffic_still_plans_for_a_hundred_users(clicks):
    sample = made(3) if clicks else with_totals(made(3), count_click=np.zeros(3), count_purchase=np.zeros(3))
    assert plan_online(OnlineGateSection(), OutcomesSection(), "refresh", Traffic(3, 72, sample)).planned_users == 100


@pytest.mark.parametrize("section", [{"planned_users": 10, "harm_users": 50}, {"alpha": 1e-6}, {"alpha": 0.499}])
def test_the_smallest_and_largest_numbers_of_a_recipe_have_a_plan_with_chances(section):
    assert plan_lines(plan(rules=RULES[:2], **section))[-1].startswith("promoted: ")


def test_shoppers_who_all_do_the_same_have_a_plan_that_surely_promotes_an_equal_candidate():
    same = with_totals(made(4000), searches=np.ones(4000), count_click=np.ones(4000))
    certain = plan_online(OnlineGateSection(), OutcomesSection(), "refresh", Traffic(4000, 72.0, same))
    assert [chance.promoted for chance in pass_probabilities(certain)] == [1, 0, 0]


def test_a_busy_line_plans_for_no_more_than_the_margins_need():
    assert plan(10_000_000, rules=RULES[:2]).planned_users < 500_000


def test_a_recipe_that_says_how_many_users_is_believed():
    assert plan(1800, planned_users=777).planned_users == 777


def test_without_earlier_traffic_the_plan_is_for_five_thousand_users_and_says_so():
    fresh = plan(traffic=False)
    assert fresh.planned_users == 5000
    lines = plan_lines(fresh)
    assert lines[0].startswith("no earlier traffic: planned for 5,000 users")
    assert lines[-1].startswith("who passes is not known")


def test_rare_events_are_judged_once_and_frequent_ones_are_shown_to_hold():
    modes = plan(20_000).modes
    assert modes["purchase_rate"].name == "not_shown_worse"
    assert modes["fallback_rate"].name == "shown_to_hold"
    assert plan(20_000, purchases=0.9).modes["purchase_rate"].name == "shown_to_hold"


def test_a_recipe_that_names_a_mode_gets_it_and_the_reason_says_so():
    rule = Guardrail(metric="purchase_rate", mode="shown_to_hold")
    mode = plan(rules=(rule,)).modes["purchase_rate"]
    assert (mode.name, mode.why) == ("shown_to_hold", "as the recipe says")


def test_a_kind_that_nobody_reported_is_named_before_anything_starts():
    assert plan().unreported == ("cart",)
    assert any(line.startswith("nobody reported cart before") for line in plan_lines(plan()))


def test_the_harm_looks_end_with_the_experiment_when_that_is_short():
    assert (plan(1800).harm_users, plan(40_000).harm_users) == (1800, 3200)


def test_an_equal_candidate_is_foretold_better_chances_than_a_worse_one():
    told = {chance.drop: chance for chance in pass_probabilities(plan(40_000, rules=RULES[:2]))}
    assert told[0.0].promoted > 0.8
    assert told[0.0].rolled_back < 0.05 < told[0.1].rolled_back
    assert told[0.1].promoted < 0.05


def test_the_lines_say_hours_users_modes_and_chances():
    lines = plan_lines(plan(20_000, rules=RULES[:2], planned_users=20_000))
    assert (
        lines[0] == "planned for 20,000 users, about 72.0 hours of the line's own traffic; looks for harm up to 3,200"
    )
    assert "purchase_rate: judged once, not to be shown worse at a level of " in lines[1]
    assert "fallback_rate: to be shown to hold 10% at any look" in lines[2]
    assert "of equal candidates" in lines[-1]


@pytest.mark.parametrize("sample", [made(1), made(2, rate=0.0), made(50, purchases=0.0)])
def test_traffic_of_any_kind_gives_a_plan(sample):
    traffic = Traffic(50, 72.0, sample)
    made_of = plan_online(OnlineGateSection(guardrails=RULES), OutcomesSection(), "change", traffic)
    assert made_of.planned_users >= 50
    assert plan_lines(made_of)


def test_earlier_traffic_that_is_no_number_is_taken_for_none():
    sample = made(50)
    broken = dataclasses.replace(sample, totals={**sample.totals, "count:click": np.full(50, np.inf)})
    assert "ctr" not in plan_online(OnlineGateSection(), OutcomesSection(), "refresh", Traffic(50, 1.0, broken)).noise
