import json

import pytest

from fakes.fake_clock import FakeClock
from fakes.fake_router import FakeRouter
from fakes.memory_store import MemoryStore
from recflow.artifacts.ledger import Candidate, EventKind, LedgerEvent
from recflow.artifacts.refs import Ref, RefKind
from recflow.clients.ledger import ObjectLedger
from recflow.clients.router import LedgerRouter
from recflow.domain.routes import RoutingTable
from recflow.errors import StoreUnavailable

RECIPE = "search_relevance"


class LedgerRouterOverMemory:
    """The real router, with the ledger and store that feed it within a test's reach."""

    def __init__(self, clock):
        self.store, self.clock = MemoryStore(), clock
        self.ledger = ObjectLedger(self.store, clock)
        self.router = LedgerRouter(self.store, self.ledger, clock)

    def adopt(self, version):
        package = Ref(kind=RefKind.PACKAGE, uri=f"{self.store.root}/{version}", digest="0" * 64)
        candidate = Candidate(
            version=version, package=package, interval_label="2011-01-04", trained_through=self.clock.now()
        )
        self.ledger.append(RECIPE, LedgerEvent(kind=EventKind.ADOPTED, candidate=candidate), after=None)

    def break_down(self):
        self.store.down = True


class FakeOne:
    def __init__(self, clock):
        self.router = FakeRouter(clock)

    def adopt(self, version):
        self.router.set(RoutingTable(recipe=RECIPE, epoch=1, stable=version))

    def break_down(self):
        self.router.down = True


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture(params=[LedgerRouterOverMemory, FakeOne], ids=["ledger", "double"])
def world(request, clock):
    return request.param(clock)


def test_there_is_no_table_before_the_first_entry(world):
    assert world.router.table(RECIPE) is None


def test_the_table_names_the_stable_version_and_its_epoch(world):
    world.adopt("v1")
    assert world.router.table(RECIPE) == RoutingTable(recipe=RECIPE, epoch=1, stable="v1")


def test_a_gateway_lags_until_it_has_acknowledged_the_epoch(world):
    world.router.acknowledge("g1", {RECIPE: 1}, lease_s=10)
    world.router.acknowledge("g2", {RECIPE: 2}, lease_s=10)
    seen = world.router.acknowledged(RECIPE, 2)
    assert (seen.live, seen.lagging, seen.complete) == (("g1", "g2"), ("g1",), False)
    world.router.acknowledge("g1", {RECIPE: 2}, lease_s=10)
    assert world.router.acknowledged(RECIPE, 2).complete


def test_a_gateway_whose_lease_has_run_out_is_not_waited_for(world, clock):
    world.router.acknowledge("dead", {RECIPE: 1}, lease_s=10)
    clock.tick(9)
    assert world.router.acknowledged(RECIPE, 2).lagging == ("dead",)
    clock.tick(1)
    assert world.router.acknowledged(RECIPE, 2).live == ()


def test_a_gateway_that_says_goodbye_is_not_waited_for(world):
    world.router.acknowledge("g1", {RECIPE: 1}, lease_s=10)
    world.router.acknowledge("g1", {}, lease_s=0)
    assert world.router.acknowledged(RECIPE, 2).complete


def test_a_gateway_of_other_recipes_is_not_waited_for(world):
    world.router.acknowledge("g1", {"ads": 7}, lease_s=10)
    assert world.router.acknowledged(RECIPE, 2).live == ()


def test_without_an_answer_nobody_is_told_that_all_is_well(world):
    world.break_down()
    with pytest.raises(StoreUnavailable):
        world.router.table(RECIPE)
    with pytest.raises(StoreUnavailable):
        world.router.acknowledged(RECIPE, 1)


def test_old_leases_are_forgotten_and_foreign_objects_ignored(clock):
    world = LedgerRouterOverMemory(clock)
    world.router.acknowledge("old", {RECIPE: 1}, lease_s=10)
    world.store.put("_gateways/foreign.json", json.dumps({"gateway": 1}).encode())
    clock.tick(3700)
    world.router.acknowledge("new", {RECIPE: 1}, lease_s=10)
    assert world.router.acknowledged(RECIPE, 1).live == ("new",)
    assert world.store.list("_gateways/") == ["_gateways/foreign.json", "_gateways/new.json"]
