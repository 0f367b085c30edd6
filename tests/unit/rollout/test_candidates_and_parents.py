import pytest

from fakes.release_world import ReleaseWorld, interval
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.ledger import EventKind
from recflow.artifacts.parents import Parent
from recflow.artifacts.refs import RefKind
from recflow.rollout import operations
from recflow.rollout.candidates import record_candidate
from recflow.rollout.parent import find_parent, pin_parent


@pytest.fixture
def world(tmp_path):
    return ReleaseWorld(tmp_path)


def record(world, day, verdict=Verdict.PASS, package=None):
    return record_candidate(
        world.recipe,
        interval(day),
        package=package or world.package(day),
        checkpoint=None,
        decision=world.decision(day, verdict),
        ledger=world.ledger,
        artifacts=world.artifacts,
    )


def parent(world, day) -> Parent:
    return find_parent(world.recipe.name, interval(day), world.ledger)


def pin(world, day):
    return pin_parent(world.recipe, interval(day), ledger=world.ledger, artifacts=world.artifacts, clock=world.clock)


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NOT_EVALUATED])
def test_only_a_passed_candidate_is_recorded(world, verdict):
    recorded = record(world, 1, verdict)
    assert not recorded.recorded
    assert str(verdict) in recorded.reason
    assert (world.state.waiting, world.state.newest_trained_through) == (None, None)
    assert world.table.versions == ()


def test_a_refused_candidate_stands_in_the_ledger_once_with_its_decision(world):
    world.stable(1)
    before, package, decision = world.state, world.package(2), world.decision(2, Verdict.FAIL)
    for _ in range(2):
        record_candidate(
            world.recipe,
            interval(2),
            package=package,
            checkpoint=None,
            decision=decision,
            ledger=world.ledger,
            artifacts=world.artifacts,
        )
    entry = world.true_ledger.head(world.recipe.name)
    assert entry.event.kind is EventKind.CANDIDATE_REFUSED
    assert entry.event.candidate.decision == decision
    assert entry.event.reason == "the offline gate says FAIL: as scripted"
    assert entry.state == before.model_copy(update={"seq": before.seq + 1})


def test_a_refused_day_may_be_trained_for_again(world):
    record(world, 1, Verdict.FAIL)
    assert record(world, 1).recorded


def test_a_refused_backfill_is_not_told(world):
    world.stable(2)
    seq = world.state.seq
    record(world, 1, Verdict.FAIL)
    assert world.state.seq == seq


def test_a_version_names_its_day_and_its_package(world):
    package = world.package(1)
    assert record(world, 1, package=package).version == f"20110101-{package.digest[:8]}"


def test_recording_again_after_a_lost_answer_changes_nothing(world):
    package = world.package(1)
    record(world, 1, package=package)
    again = record(world, 1, package=package)
    assert again.recorded
    assert again.waiting
    assert world.state.seq == 1


def test_recording_again_after_its_release_was_opened_says_that_nothing_waits(world):
    package = world.package(1)
    assert record(world, 1, package=package).waiting
    operations.claim(world.recipe, world.ledger, world.artifacts, world.clock.now())
    assert not record(world, 1, package=package).waiting


def test_a_backfill_releases_nothing(world):
    record(world, 3)
    backfilled = record(world, 2)
    assert (backfilled.recorded, backfilled.reason) == (False, "not recorded: a backfill releases nothing")


def test_a_passed_candidate_of_a_day_that_was_refused_before_is_recorded(world):
    record(world, 1)
    record(world, 2, Verdict.FAIL)
    assert record(world, 2).recorded


def test_the_first_retrain_starts_from_the_base_model(world):
    assert parent(world, 1) == Parent()


def test_the_newest_interval_starts_from_the_stable_now(world):
    version = world.stable(1)
    assert parent(world, 2).version == version


def test_the_newest_interval_run_again_starts_where_it_started_before(world):
    first = world.stable(1)
    world.stable(2)
    assert parent(world, 2).version == first
    assert parent(world, 3).version != first


def test_a_backfill_starts_from_what_was_stable_when_its_interval_ended(world):
    world.clock.time = interval(2).start
    first = world.stable(1)
    world.clock.time = interval(9).start
    world.stable(8)
    assert parent(world, 4).version == first
    assert parent(world, 1) == Parent()


def test_equal_parents_are_the_equal_reference_at_any_time(world):
    world.stable(1)
    pinned = pin(world, 2)
    world.clock.tick(86_400)
    assert pin(world, 3) == pinned
    assert pinned.kind is RefKind.PARENT
    stored = Parent.model_validate_json((world.artifacts.fetch(pinned) / "parent.json").read_bytes())
    assert stored == parent(world, 2)


def test_another_stable_is_another_parent(world):
    world.stable(1)
    pinned = pin(world, 2)
    world.stable(2)
    assert pin(world, 3) != pinned


def test_an_adopted_model_is_the_parent_of_the_next_day_and_older_days_are_backfills(world):
    package = world.package(3)
    operations.adopt(world.recipe, package, world, person="ada")
    assert parent(world, 4).package == package
    assert not record(world, 2).recorded
