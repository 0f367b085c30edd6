"""An A/A from the ledger's routes through a gateway's assignment, its log on disk and the reader to the report."""

import asyncio
from datetime import timedelta

from fakes.gateway_world import RECIPE, World, act, ask
from fakes.release_world import QUICK, ReleaseWorld
from fakes.scripted_scorer import ScriptedScorer, falling
from recflow.artifacts.decisions import Verdict
from recflow.clients.event_log import DuckEventLog
from recflow.config.recipe import Recipe
from recflow.config.sections.gate import OnlineGateSection
from recflow.domain.request_ids import SigningKeys
from recflow.experiments.aa_judge import aa_judge
from recflow.rollout.operations import start_aa

GATE = OnlineGateSection(outcome_window_seconds=60, planned_users=200, min_events_per_arm=10)
SHOPPERS = 300


async def shop(world: World) -> set[str]:
    """Everybody searches once, every second clicks; the versions that answered."""
    versions = set()
    async with world.open() as client:
        for number in range(SHOPPERS):
            user = f"u-{number}"
            told = (await client.post(f"/v1/{RECIPE}/rank", json=ask(user_id=user))).json()
            versions.add(told["version"])
            if number % 2:
                clicked = act(request_id=told["request_id"], user_id=user)
                assert (await client.post("/v1/outcomes", json=clicked)).status_code == 200
    return versions


def test_an_aa_goes_through_routes_gateway_log_reader_and_judge(tmp_path):
    recipe = Recipe(name=RECIPE, owner="tests", rollout=QUICK, online_gate=GATE)
    releases = ReleaseWorld(tmp_path / "releases", recipe=recipe)
    stable = releases.stable(1)
    release = start_aa(recipe, releases.true_ledger, releases.clock.now(), person="ada").release
    world = World(tmp_path / "gateway", keys=SigningKeys((b"k" * 32,)))
    world.clock.time = releases.clock.time
    world.router.set(releases.table)
    world.scorer = ScriptedScorer({stable: falling})
    world.events = DuckEventLog(tmp_path / "events", world.clock)

    assert asyncio.run(shop(world)) == {stable}
    judge, later = aa_judge(world.events), world.clock.now() + timedelta(seconds=61)
    decision = judge(recipe, release, later)
    world.events.close()
    assert world.events.compact() == SHOPPERS + SHOPPERS // 2
    assert judge(recipe, release, later) == decision

    found = {finding.rule: finding for finding in decision.findings}
    assert decision.verdict is Verdict.PASS, decision.reasons
    assert found["sample_ratio"].n == SHOPPERS
    assert {"rolled_back", "promoted_as_better", "noise of ctr"} <= found.keys()
