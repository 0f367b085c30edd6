"""A few releases through real gateway processes that sign; `make proof` has two hundred."""

from datetime import timedelta

from fakes.releases_under_load import hosted_world, release_under_load


def test_no_request_fails_while_releases_come_and_go_with_the_model_servers_double(tmp_path):
    world = hosted_world(tmp_path)
    ends, load = release_under_load(world, 5, seed=1)
    assert {*ends} == {"stable", "rolled_back"}
    assert not load.others
    assert {answer["fallback"] for _, answer in load.answers} == {""}
    now = world.clock.now()
    acts = world.metrics.outcomes(world.recipe.name, now - timedelta(hours=1), now)
    assert (acts.unmatched, acts.matched) == ({}, load.clicks)
