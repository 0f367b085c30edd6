from collections import Counter
from datetime import date
from itertools import islice

import pytest

import demo.__main__ as demo
from demo.recommend.deliveries import ACTS, to_wrong_shoppers, with_views
from demo.recommend.shop import RecommendShop
from demo.recommend.shoppers import visits
from recflow.config.recipe_loader import parse_recipe
from recflow.config.tasks import section_as
from recflow.errors import BadConfiguration
from recflow.tasks.recommend.sections import RecommendLabels

DAY = date(2011, 1, 5)


def event(number, kind="impression", position=1, user="u1"):
    return {"event_id": f"e{number}", "kind": kind, "position": position, "user_key": user, "item_id": f"p{number}"}


def test_what_stands_first_is_always_seen_and_what_stands_further_down_less_often():
    shown = [event(number, position=1 + 8 * (number % 2)) for number in range(1000)]
    seen = Counter(told["position"] for told in with_views(shown, [], "seed") if told["kind"] == "view")
    assert seen[1] == 500
    assert 100 < seen[9] < 250


def test_teasers_come_into_view_on_most_pages_once_a_page():
    pages = [event(number, position=position) for number in range(100) for position in (1, 2)]
    teasers = Counter(told["item_id"] for told in with_views(pages, ["a", "b"], "seed") if told["item_id"] in "ab")
    assert all(60 < teasers[item] < 95 for item in "ab")


@pytest.mark.parametrize("odd", [event(1, position="third"), event(1, position=0), event(1, kind="click")])
def test_what_was_not_shown_at_a_place_is_not_seen(odd):
    assert with_views([odd], ["p9"], "seed") == [odd]


def test_acts_change_their_shoppers_among_those_named_and_nothing_else_changes():
    named = [event(number, "click", user=f"u{number % 7}") for number in range(70)]
    others = [event(100, "click", user="judge"), event(101, user="u1")]
    told = to_wrong_shoppers([*named, *others], {f"u{number}" for number in range(7)}, "seed")
    assert told[70:] == others
    assert [one["item_id"] for one in told] == [one["item_id"] for one in [*named, *others]]
    assert Counter(one["user_key"] for one in told[:70]) == Counter(one["user_key"] for one in named)
    assert told[:70] != named


def test_a_shopper_comes_back_with_the_same_wish_and_a_history_of_what_it_makes_good():
    users, by_user = 200, {}
    for visit in islice(visits(users), 2 * users):
        assert visit.history
        assert all(visit.grades[item] > 0 for item in visit.history)
        by_user.setdefault(visit.user, []).append(visit.grades)
    assert len(by_user) == users
    assert all(first == second for first, second in by_user.values())


def test_the_change_of_its_recipe_is_what_it_learns_from_alone(tmp_path):
    shop = RecommendShop(tmp_path, DAY)
    before, after = (parse_recipe(shop.recipe_text(changed=changed), "recipe") for changed in (False, True))
    weights = [section_as(recipe.labels, RecommendLabels).weights for recipe in (before, after)]
    assert [set(named) for named in weights] == [ACTS, ACTS | {"view"}]
    assert before.model_copy(update={"labels": after.labels}) == after


def test_judged_pairs_are_refused_for_a_line_that_recommends(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        demo.main(line=demo.Line.RECOMMEND, data=tmp_path, home=tmp_path / "home", free_ports=True)
    assert ended.value.code == BadConfiguration.exit_code
    assert "recommendations cannot be played on judged pairs" in capsys.readouterr().out
