"""A task whose answers show no items is judged by acts of its own kind on whole answers, from shadow to stable."""

import pytest

from fakes.toy_task import WEIGHTS, installed
from fakes.toy_world import LINE, ToyGateway, ToyShop
from recflow.artifacts.events import Comparison
from recflow.artifacts.ledger import ReleaseState as S
from recflow.experiments.gate import plan_release, read_release

WITHOUT_THE_LAST_CLASS = (*WEIGHTS[:2], (0.0, 0.0, 0.0, 0.0))


@pytest.fixture(autouse=True)
def _installed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(installed(tmp_path / "site"))


@pytest.fixture
def shop(tmp_path):
    found = ToyShop(tmp_path)
    found.world.record(1)
    found.play(lambda ledger: ledger.stable is not None)
    return found


def ended(ledger):
    return ledger.release is None


def entries(shop):
    """The ledger's, newest first."""
    return shop.world.true_ledger.entries(shop.world.recipe.name)


def judged(shop):
    """The plan of the experiment, and what it has shown by now."""
    release = next(entry.state.release for entry in entries(shop) if entry.event.to is S.JUDGING)
    evidence = read_release(shop.world.events, shop.world.recipe, release, shop.world.clock.now())
    return plan_release(shop.world.events, shop.world.recipe, release), evidence


def test_an_equal_candidate_goes_through_shadow_and_canary_and_is_judged_to_be_stable(shop):
    candidate = shop.world.record(2)
    state = shop.play(ended)
    assert state.stable.version == candidate
    assert set(shop.world.path) >= {"shadow", "canary", "judging", "promoting"}
    assert any(isinstance(record, Comparison) and record.tau == 1 for record in shop.world.events.records)
    plan, evidence = judged(shop)
    assert plan.success.kind == "confirmed"
    assert evidence.unmatched == {}
    assert sum(evidence.totals["count:confirmed"]) == pytest.approx(0.9 * evidence.users, abs=0.02 * evidence.users)


def test_a_candidate_whose_answers_fewer_shoppers_confirm_is_rolled_back(shop):
    before = shop.world.state.stable.version
    shop.world.record(2, shop.world.package(2, weights=WITHOUT_THE_LAST_CLASS))
    state = shop.play(ended)
    assert state.stable.version == before
    refused = next(entry for entry in entries(shop) if entry.event.to is S.ROLLING_BACK)
    assert "judging" in shop.world.path
    assert refused.event.reason.startswith("confirmed_rate")


# -------------------------------------------------------------------------------------------------- what is an outcome


def confirmed(gateway, **changes):
    told = gateway.classify(5.0, 0.0, 0.0, 0.0).json()
    body = {"request_id": told["request_id"], "user_id": "u-1", "kind": "confirmed"} | changes
    return gateway.ask(("POST", "/v1/outcomes", body))[0]


@pytest.mark.parametrize("item", [{}, {"item_id": None}, {"item_id": ""}])
def test_an_act_on_the_answer_is_recorded_without_an_item(tmp_path, item):
    gateway = ToyGateway(tmp_path)
    assert confirmed(gateway, **item).status_code == 200
    [seen] = gateway.outcomes
    assert (seen.recipe, seen.kind, seen.item_id) == (LINE, "confirmed", "")


def test_an_act_on_an_item_of_an_answer_without_items_is_refused(tmp_path):
    gateway = ToyGateway(tmp_path)
    response = confirmed(gateway, item_id="a")
    assert (response.status_code, response.json()["code"]) == (422, "item_not_expected")
    assert gateway.outcomes == []
