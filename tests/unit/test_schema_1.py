"""What was written before event schema 2 is still read: a log, a store, a ledger and an open release."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fakes.fake_clock import FakeClock
from fakes.release_world import HEALTHY, ReleaseWorld
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.events import Arm, Exposure, Outcome, ShownItem
from recflow.artifacts.ledger import ReleaseState
from recflow.clients.event_log import DuckEventLog
from recflow.experiments.evidence import Design
from recflow.experiments.readers import read_evidence

KEPT = Path(__file__).parent.parent / "fixtures" / "schema_1"
RECIPE, STABLE, CANDIDATE = "shop_search", "20110101-e12c4836", "20110102-50a51117"
EXPERIMENT = f"release-8-{CANDIDATE}:judging"
ENTERED = datetime(2011, 1, 5, 2, 1, tzinfo=UTC)
DAY = (ENTERED - timedelta(hours=1), ENTERED + timedelta(days=1))
DESIGN = Design(RECIPE, EXPERIMENT, ENTERED - timedelta(hours=1), window=timedelta(minutes=30))


@pytest.fixture
def log(tmp_path):
    shutil.copytree(KEPT / "events", tmp_path / "events")
    log = DuckEventLog(tmp_path / "events", FakeClock(ENTERED))
    yield log
    log.close()


@pytest.fixture
def world(tmp_path):
    world = ReleaseWorld(tmp_path)
    world.store.objects.update(
        (path.relative_to(KEPT / "store").as_posix(), path.read_bytes())
        for path in (KEPT / "store").rglob("*")
        if path.is_file()
    )
    world.clock.time = ENTERED
    return world


def evidence(log):
    return read_evidence(log, DESIGN, DAY[1])


def summary(found):
    return found.users, *(float(found.totals[name].sum()) for name in ("searches", "count:click", "count:purchase"))


def append_new(log):
    shown = Exposure(
        request_id="shop_search-new",
        at=ENTERED + timedelta(minutes=5),
        recipe=RECIPE,
        user_key="new",
        anonymous=False,
        epoch=1,
        experiment=EXPERIMENT,
        arm=Arm.CONTROL,
        assigned_version=STABLE,
        served_version=STABLE,
        query="shoe",
        items=(ShownItem(item_id="i1", position=1, score=1.0, propensity=0.5),),
        latency_ms=10.0,
        context={"device": "phone"},
        candidates=("i1", "i2"),
    )
    fields = {"request_id": shown.request_id, "recipe": RECIPE, "user_key": "signed-in", "visitor_key": "new"}
    act = Outcome(outcome_id="new", at=shown.at + timedelta(seconds=9), kind="click", item_id="i1", **fields)
    # An act of today on an answer of the old code, sent by a shopper of then.
    old = {"request_id": f"{RECIPE}-{0:032x}", "recipe": RECIPE, "user_key": "u0"}
    log.append("new", [shown, act, Outcome(outcome_id="late", at=act.at, kind="cart", item_id="i2", **old)])


def test_an_old_log_alone_has_the_new_columns_with_their_meaning(log):
    rows = log.exposures(RECIPE, *DAY)
    assert rows.num_rows == 160
    [first, *_] = rows.to_pylist(maps_as_pydicts="strict")
    assert (first["schema_version"], first["context"], first["candidates"], first["erased"]) == (1, {}, [], False)
    assert first["items"][0] == {"item_id": "i1", "position": 1, "score": 1.0, "propensity": None}
    assert set(log.outcomes(RECIPE, *DAY)["visitor_key"].to_pylist()) == {""}


@pytest.mark.parametrize("compacted", [False, True])
def test_old_and_new_records_are_one_table(log, compacted):
    before = log.outcomes(RECIPE, *DAY).num_rows
    append_new(log)
    log.close()
    if compacted:
        log.compact()
    rows = log.exposures(RECIPE, *DAY).to_pylist(maps_as_pydicts="strict")
    assert sorted({row["schema_version"] for row in rows}) == [1, 2]
    [new] = [row for row in rows if row["schema_version"] == 2]
    assert (len(rows), new["context"], new["candidates"]) == (161, {"device": "phone"}, ["i1", "i2"])
    assert new["items"][0]["propensity"] == 0.5
    assert log.outcomes(RECIPE, *DAY).num_rows == before + 2


def test_an_old_log_gives_its_evidence_before_and_after_a_compaction(log):
    found = evidence(log)
    assert found.assigned == {Arm.TREATMENT: 80, Arm.CONTROL: 80}
    assert (found.unmatched, found.matched) == ({}, log.outcomes(RECIPE, *DAY).num_rows)
    log.compact()
    assert summary(evidence(log)) == summary(found)


def test_facts_of_an_old_file_are_made_once(log, tmp_path):
    evidence(log)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "events" / "facts").rglob("*.parquet")}
    assert len(made) == 2
    evidence(log)
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_new_acts_and_new_answers_stand_beside_the_old_ones_in_the_evidence(log):
    old = evidence(log)
    append_new(log)
    new = evidence(log)
    assert summary(new) == (161, 161.0, summary(old)[2] + 1, summary(old)[3])
    assert new.totals["count:cart"].sum() == 1


def test_the_hash_chain_of_an_old_ledger_holds(world):
    entries = list(world.true_ledger.entries(RECIPE))
    assert (len(entries), entries[0].state.stable.version) == (13, STABLE)
    assert (entries[0].state.release.state, entries[0].state.release.candidate.version) == (
        ReleaseState.JUDGING,
        CANDIDATE,
    )


def test_what_an_old_store_holds_is_what_its_manifests_say(world, tmp_path):
    release = world.state.release
    folder = world.artifacts.fetch(release.candidate.package)
    assert (folder / "package.json").exists()


@pytest.mark.parametrize(("verdict", "stable"), [(Verdict.PASS, CANDIDATE), (Verdict.FAIL, STABLE)])
def test_a_release_that_was_open_goes_on_to_its_end(world, verdict, stable):
    world.verdict = verdict
    world.metrics.set |= dict.fromkeys((STABLE, CANDIDATE), HEALTHY)
    for version, ref in ((STABLE, world.state.stable.package), (CANDIDATE, world.state.release.candidate.package)):
        world.true_server.load(RECIPE, version, world.artifacts.fetch(ref))
    state = world.play()
    assert (state.release, state.stable.version) == (None, stable)
