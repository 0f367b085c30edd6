"""Whether a line stands still, by what a candidate made now on this host would be made with."""

from datetime import UTC, datetime

import pytest

from recflow.artifacts.ledger import Candidate, EventKind, LedgerEvent
from recflow.artifacts.refs import Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.config.settings import Settings
from recflow.wiring import Services, standstill_of
from recflow.wiring.provenance import made_with_now

DAY = datetime(2011, 1, 5, tzinfo=UTC)


@pytest.fixture
def services(tmp_path):
    base = tmp_path / "bases" / "small"
    base.mkdir(parents=True)
    (base / "config.json").write_text("{}")
    (base / "weights").write_bytes(b"1")
    return Services(Settings(home=tmp_path / "home", base_models=tmp_path / "bases"))


def recipe(**training):
    return Recipe(name="shop", owner="search", training={"base_model": "small", **training})


def refuse(services, made_with, nights=("2011-01-04", "2011-01-05")):
    package = Ref(kind=RefKind.PACKAGE, uri="file:///store/package", digest="a" * 64)
    for night in nights:
        candidate = Candidate(
            version="v1", package=package, interval_label=night, trained_through=DAY, made_with=made_with
        )
        event = LedgerEvent(kind=EventKind.CANDIDATE_REFUSED, candidate=candidate, changes=("training.epochs: 2 → 5",))
        services.ledger.append("shop", event, after=services.ledger.head("shop"))


def test_a_line_without_a_ledger_or_a_refused_change_goes_on(services):
    assert standstill_of(services, recipe()) == ""
    package = Ref(kind=RefKind.PACKAGE, uri="file:///store/package", digest="a" * 64)
    candidate = Candidate(version="v1", package=package, interval_label="2011-01-04", trained_through=DAY)
    services.ledger.append("shop", LedgerEvent(kind=EventKind.CANDIDATE_RECORDED, candidate=candidate), after=None)
    assert standstill_of(services, recipe()) == ""


def test_a_line_whose_recipe_is_still_the_refused_one_stands_still(services):
    refuse(services, made_with_now(services, recipe(epochs=5)))
    told = "the line stands still: a change was refused on 2 nights: training.epochs: 2 → 5. Last: no reason told"
    assert standstill_of(services, recipe(epochs=5)) == told
    assert standstill_of(services, recipe(epochs=5, checkpoint_every_steps=7)) == told


def test_a_line_goes_on_once_its_recipe_is_another(services):
    refuse(services, made_with_now(services, recipe(epochs=5)))
    assert standstill_of(services, recipe()) == ""


def test_a_line_goes_on_once_the_weights_under_the_base_models_name_are_others(services, tmp_path):
    refuse(services, made_with_now(services, recipe()))
    assert standstill_of(services, recipe()) != ""
    (tmp_path / "bases" / "small" / "weights").write_bytes(b"2")
    assert standstill_of(services, recipe()) == ""


def test_a_change_that_may_be_tried_again_stops_nothing(services):
    refuse(services, made_with_now(services, recipe()), nights=("2011-01-04",))
    assert standstill_of(services, recipe()) == ""


def test_a_host_without_the_base_model_cannot_tell_and_stops_nothing(services):
    refuse(services, "of another host")
    assert standstill_of(services, recipe(base_model="nowhere")) == ""
