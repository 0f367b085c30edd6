"""Recommendations through the gateway: what is asked, told, refused, recorded and compared."""

import json

import pytest

from fakes.fake_clock import FakeClock
from fakes.recommend_world import ITEMS, LINE, SERVING, RecommendGateway
from fakes.sample_events import outcome
from recflow.artifacts.events import Comparison, Exposure
from recflow.errors import BadConfiguration
from recflow.gateway.app import create_app
from recflow.gateway.service import Options
from recflow.tasks.recommend.serving import RecommendRequest


@pytest.fixture
def gateway(tmp_path):
    return RecommendGateway(tmp_path)


def of(gateway, kind):
    return [record for record in gateway.events.records if isinstance(record, kind)]


def tensors(*history, **told):
    return SERVING.tensors(RecommendRequest(user_id="u", history=list(history), **told))


def test_items_come_in_order_with_what_they_were_chosen_by_and_leave_an_exposure(gateway):
    told = gateway.told(history=["i03"], k=2)
    assert [(item["id"], item["position"]) for item in told["items"]] == [("i04", 1), ("i05", 2)]
    assert (told["basis"], told["version"], told["fallback"]) == ("history", "v1", "")
    shown = of(gateway, Exposure)[0]
    assert [item.item_id for item in shown.items] == ["i04", "i05"]
    assert (shown.query, json.loads(shown.answer)) == ("", {"basis": "history"})


def test_the_context_says_when_and_from_where_and_else_the_gateway_says_when(gateway):
    gateway.ask({}, {"context": {"at": "2011-01-02T12:00:00+00:00", "country": "NL"}})
    first, _, second, _ = sorted(of(gateway, Exposure), key=lambda shown: shown.request_id)
    contexts = [dict(shown.context) for shown in of(gateway, Exposure) if not shown.marked]
    assert contexts[0] == {"at": of(gateway, Exposure)[0].at.isoformat()}
    assert contexts[1] == {"at": "2011-01-02T12:00:00+00:00", "country": "NL"}
    assert first.recipe == second.recipe == LINE
    asked = tensors(context={"at": "2011-01-02T12:00:00", "country": "NL"})
    assert (asked["AT"].tolist(), asked["COUNTRY"].tolist()) == ([1293969600.0], [b"NL"])


@pytest.mark.parametrize("history", [[], None, ["never seen"]], ids=["empty", "null", "unknown"])
def test_who_has_no_known_history_is_told_that_popularity_chose(gateway, history):
    told = gateway.told(history=history, k=3)
    assert [item["id"] for item in told["items"]] == [*ITEMS[:3]]
    assert told["basis"] == "popularity"


def test_a_history_is_put_in_order_of_time_and_keeps_its_repeats():
    late, early = {"item_id": "b", "at": "2011-01-02T00:00:00Z"}, {"item_id": "a", "at": "2011-01-01T00:00:00Z"}
    asked = tensors(late, "behind b", early, late)
    assert asked["HISTORY"].tolist() == [b"a", b"b", b"behind b", b"b"]
    assert asked["SECONDS"].tolist() == [1293840000.0, 1293926400.0, 0.0, 1293926400.0]
    assert tensors("b", "a", "b")["HISTORY"].tolist() == [b"b", b"a", b"b"]


def test_a_history_of_ten_thousand_acts_with_repeats_is_answered(tmp_path):
    gateway = RecommendGateway(tmp_path, {"max_body_bytes": 4 << 20})
    acts = [{"item_id": ITEMS[n % 7], "at": 1293840000 + (n * 7919) % 10_000} for n in range(10_000)]
    assert len(gateway.items(history=acts, k=5)) == 5


def test_more_items_than_there_are_gives_those_that_are_left_and_excluding_all_gives_none(gateway):
    assert len(gateway.items(history=["i00"], k=200)) == len(ITEMS) - 1
    told = gateway.told(history=["i00"], exclude=[*ITEMS])
    assert (told["items"], told["basis"], told["fallback"]) == ([], "nothing", "")


def test_ids_that_differ_in_case_or_a_space_are_different_items(gateway):
    told = gateway.told(history=["I03", "i03 "], exclude=["I00", "i00 "], k=1)
    assert ([item["id"] for item in told["items"]], told["basis"]) == (["i00"], "popularity")
    assert tensors("i03 ", "I03")["HISTORY"].tolist() == [b"i03 ", b"I03"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"k": 0}, "k_too_small"),
        ({"k": 201}, "k_too_large"),
        ({"history": ["i"] * 10_001}, "history_too_long"),
        ({"exclude": ["i"] * 1001}, "exclude_too_long"),
        ({"context": {"at": "yesterday"}}, "no_time"),
        ({"history": [""]}, "invalid_field"),
        ({"history": [{"item_id": "i", "at": "yesterday"}]}, "invalid_field"),
        ({"histroy": []}, "invalid_field"),
    ],
)
def test_what_breaks_a_limit_is_refused_with_its_code(gateway, body, code):
    assert gateway.refused(**body) == (422, code)


def test_without_a_model_nothing_is_shown_and_that_is_said(gateway):
    gateway.server.broken.add("v1")
    told = gateway.told(history=["i03"])
    assert (told["items"], told["basis"]) == ([], "nothing")
    assert (told["version"], told["fallback"]) == ("empty", "unavailable")


def test_shadow_is_compared_by_the_overlap_of_the_first_ten(gateway):
    gateway.ask({"history": ["i20"]}, {"history": ["i32"]}, {"exclude": [*ITEMS]})
    found = of(gateway, Comparison)
    assert [(one.tau, one.length) for one in found] == [(1.0, 1), (0.7, 1), (None, 0)]
    assert [item.shadow_position for item in found[1].items] == [1, 2, 3, 4, 5, 6, 7, 0, 0, 0]
    assert SERVING.groups("", 0, is_frequent=False) == ("no history",)
    assert SERVING.groups("", 20, is_frequent=False) == ("histories of 20 acts and more",)


def test_who_sends_no_history_is_known_by_what_they_did_with_earlier_answers(gateway):
    gateway.events.append("other", [outcome("1", recipe=LINE, user_key="u-1", item_id="i10", at=FakeClock().now())])
    gateway.remembers = True
    assert gateway.items(k=1) == ["i11"]
    assert gateway.items(history=[], k=1) == ["i00"]


def test_two_lines_at_one_route_are_refused(gateway, tmp_path):
    line = gateway.lines()[0]
    with pytest.raises(BadConfiguration, match="one route"):
        create_app([line, line], None, Options(tmp_path))


def listed(*pairs, popular=False):
    return SERVING.answered((list(pairs), popular))


def test_lists_differ_by_their_scores_and_not_by_noise_between_neighbours():
    golden = listed(("a", 0.5), ("b", 0.1), ("c", 0.01))
    assert SERVING.difference(golden, golden) == 0
    swapped, other = listed(("a", 0.5), ("b", 0.1), ("d", 0.01)), listed(("a", 0.5), ("d", 0.1), ("b", 0.01))
    assert SERVING.difference(golden, swapped) == pytest.approx(0)
    assert SERVING.difference(golden, other) > 0.5
    assert SERVING.difference(golden, listed(("a", 0.5))) == float("inf")
    assert SERVING.difference(golden, listed(("a", 0.5), ("b", 0.1), ("c", 0.01), popular=True)) == float("inf")
    assert SERVING.difference(listed(), listed()) == 0


def test_post_processing_may_change_scores_and_not_the_order():
    golden = listed(("a", 0.5), ("b", 0.1), ("c", 0.01))
    assert SERVING.order(golden, listed(("a", 5.0), ("b", 4.0), ("c", 3.0)), 0.02).turned == 0
    assert SERVING.order(golden, listed(("b", 5.0), ("a", 4.0), ("c", 3.0)), 0.02).turned == 1
