"""The short seeded version of tests/proof/test_random_releases.py."""

from fakes.random_releases import Tally, play_releases
from fakes.release_world import ReleaseWorld


def test_releases_survive_kills_outages_and_peoples_commands(tmp_path):
    whole = Tally()
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        whole.add(play_releases(ReleaseWorld(folder), releases=10, seed=seed))
    assert sum(whole.ends.values()) == 30
    happened = ("kills", "outages", "measured", "nights", "differing", "pauses", "runs_lost", "rivals")
    assert min(getattr(whole, name) for name in happened) > 0
