"""The short seeded version of tests/proof/test_random_releases.py."""

import pytest

from fakes.random_releases import play_releases
from fakes.release_world import ReleaseWorld


@pytest.mark.parametrize("seed", range(3))
def test_releases_survive_kills_outages_and_peoples_commands(tmp_path, seed):
    tally = play_releases(ReleaseWorld(tmp_path), releases=10, seed=seed)
    assert sum(tally.ends.values()) == 10
    assert tally.kills > 0
    assert tally.outages > 0
    assert tally.measured > 0
    assert tally.nights > 0
    assert tally.differing > 0
