"""Hundreds of releases with kills, outages, lagging gateways and people's commands at random."""

import json
from pathlib import Path

from fakes.random_releases import Tally, play_releases
from fakes.release_world import ReleaseWorld

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
SEEDS, RELEASES = range(100, 124), 50


def test_hundreds_of_releases_lose_nothing(tmp_path):
    whole = Tally()
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        folder.mkdir()
        tally = play_releases(ReleaseWorld(folder), RELEASES, seed)
        whole.add(tally)
    assert sum(whole.ends.values()) == len(SEEDS) * RELEASES
    assert whole.ends["stands still"] > 0
    assert min(vars(whole)[name] for name in vars(whole) if name != "ends") > 0, "something never happened"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "random_releases.json").write_text(json.dumps(vars(whole), indent=1, sort_keys=True) + "\n")
    (RESULTS / "random_releases.md").write_text(_markdown(whole))


def _markdown(tally: Tally) -> str:
    ends = ", ".join(f"{number} {end.replace('_', ' ')}" for end, number in sorted(tally.ends.items()))
    return (
        "# Releases with everything going wrong\n\n"
        "Written by `tests/proof/test_random_releases.py`: the release machine over fakes in memory, seeded.\n\n"
        f"{sum(tally.ends.values())} releases ({ends}) under {tally.kills} kills before or after an effect, "
        f"{tally.outages} moments without a model server (half of them losing every loaded model) and "
        f"{tally.commands} commands by people, through {tally.nights} nights without a request and {tally.clock_jumps} "
        f"clocks put back by an hour. {tally.differing} candidates ordered otherwise than stable in shadow, of which "
        f"people accepted {tally.accepted}. Between nights the recipe was changed and reverted. "
        f"The release DAG was paused {tally.pauses} times, {tally.runs_lost} runs were marked, cleared or deleted "
        f"while they carried a release, and {tally.rivals} times another host did a whole step between a look at the "
        "ledger and the entry that followed from it. "
        f"Between them {tally.measured} A/As were measured to their end.\n\n"
        "After each: the ledger's chain was whole, every release had opened once and ended once, the server held "
        "exactly stable and the previous version, the registry's alias was stable, nobody was left untold, no step of "
        "an A/A had changed what serves or may be returned to, no shopper had met a candidate that ordered otherwise "
        "unless it was a change or a person had accepted it, no change had been opened after two refused nights "
        "unless a person had accepted it, nothing but a person had ended a shadow or canary in a night, no step "
        "forward had been taken in a pause, the watch's next look had found every release without a run, and no "
        "version had replaced another without passing the infra check and the online gate.\n"
    )
