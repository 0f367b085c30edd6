"""The routes of several recipes in one gateway: what goes wrong with one stays with that one."""

import asyncio

from fakes.gateway_world import ALL_TREATED, RECIPE
from recflow.domain.routes import RoutingTable
from recflow.errors import ArtifactCorrupt
from recflow.gateway.routing import Routes


def two_lines(world):
    """Routes of two recipes, read once; the ledger of the second cannot be read from then on."""
    world.router.set(RoutingTable(recipe="ads", epoch=7, stable="a1"))
    routes = Routes(world.router, world.clock, "gateway-1", (RECIPE, "ads"), world.folder, lease_s=10)
    assert asyncio.run(routes.poll())
    healthy = world.router.table

    def table(recipe):
        if recipe == "ads":
            raise ArtifactCorrupt("the ledger of ads is broken")
        return healthy(recipe)

    world.router.table = table
    return routes


def test_a_recipe_that_cannot_be_read_does_not_stop_the_routes_of_the_others(world):
    routes = two_lines(world)
    world.router.set(ALL_TREATED)
    world.clock.tick(11)
    assert not asyncio.run(routes.poll())
    assert (routes.table(RECIPE).epoch, routes.failures) == (5, 1)
    assert (routes.stale(RECIPE), routes.stale("ads")) == (False, True)


def test_a_recipe_that_cannot_be_read_is_acknowledged_until_its_lease_runs_out_and_then_no_more(world):
    routes, waiting = two_lines(world), []
    for _ in range(3):
        world.clock.tick(5)
        asyncio.run(routes.poll())
        waiting.append((routes.stale("ads"), world.router.acknowledged("ads", 8).lagging))
    assert waiting == [(False, ("gateway-1",)), (True, ()), (True, ())]
