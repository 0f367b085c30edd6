"""Hundreds of releases through real gateway processes under load: no shopper's request fails."""

import json
from pathlib import Path

from fakes.releases_under_load import USERS, WORKERS, hosted_world, release_under_load

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
RELEASES, SEED = 200, 7


def test_no_request_fails_over_hundreds_of_releases_with_the_model_servers_double(tmp_path):
    ends, load = release_under_load(hosted_world(tmp_path), RELEASES, SEED)
    fallbacks = sum(answer["fallback"] != "" for _, answer in load.answers)
    assert sum(ends.values()) == RELEASES
    assert (load.others, fallbacks) == ({}, 0)
    found = {"ends": ends, "answers": len(load.answers), "clicks": load.clicks, "failed": 0, "fallbacks": fallbacks}
    (RESULTS / "releases_under_load.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    told = ", ".join(f"{number} {end.replace('_', ' ')}" for end, number in sorted(ends.items()))
    (RESULTS / "releases_under_load.md").write_text(
        "# Releases under load\n\n"
        "Written by `tests/proof/test_releases_under_load.py`: the release machine with a real ledger, store and event "
        f"log, {WORKERS} gateway processes that sign request ids, and a double of the model server, which refuses what "
        "it has unloaded.\n\n"
        f"{RELEASES} releases ({told}) while {USERS} clients asked without a pause and clicked: {len(load.answers)} "
        f"answers and {load.clicks} clicks, 0 failed, {fallbacks} answered by a fallback.\n"
    )
