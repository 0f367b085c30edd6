from datetime import timedelta

import pytest

from fakes.release_world import QUICK, SICK, ReleaseWorld, interval
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.events import Arm
from recflow.artifacts.ledger import ReleaseState
from recflow.artifacts.plans import Blackout
from recflow.domain.retention import needed_by_releases
from recflow.errors import ReleaseRefused
from recflow.monitoring.watch import live_versions, watch
from recflow.rollout import operations
from recflow.rollout.parent import find_parent

S = ReleaseState


@pytest.fixture
def world(tmp_path):
    world = ReleaseWorld(tmp_path)
    world.stable(1)
    world.stable(2)
    world.metrics.newest = world.clock.now()
    return world


def start(world, **changes):
    return operations.start_aa(world.recipe, world.ledger, world.clock.now(), person="ada", **changes)


def serving(world):
    state = world.state
    return state.stable, state.previous, state.retiring, world.loaded, world.true_registry.aliases(world.recipe.name)


@pytest.mark.parametrize("verdict", Verdict)
def test_whatever_it_finds_it_ends_measured_and_changes_nothing_that_serves(world, verdict):
    before, registered = serving(world), len(world.true_registry.packages)
    world.verdict = verdict
    start(world)
    world.wire.arm(999, "before")
    assert world.play().last_state is S.MEASURED
    assert world.path[-2:] == ["judging", "measured"]
    assert (serving(world), len(world.true_registry.packages)) == (before, registered)
    assert not {"server.load", "server.unload", "registry.set_alias", "notifier.notify"} & set(world.wire.calls)
    assert world.table.arms == ()


def test_both_halves_of_the_shoppers_are_served_by_stable(world):
    stable = start(world).stable.version
    places = [world.table.assign(f"user-{number}") for number in range(200)]
    assert {place.version for place in places} == {stable} == set(world.table.versions)
    assert {place.arm for place in places} == {Arm.TREATMENT, Arm.CONTROL}
    assert world.table.experiment == f"{world.state.release.release_id}:judging"


@pytest.mark.parametrize("hours", [float("nan"), -1.0, 8761.0])
def test_hours_that_no_clock_reaches_are_refused(world, hours):
    with pytest.raises(ReleaseRefused, match="hours"):
        start(world, hours=hours)
    assert world.state.release is None


def test_it_ends_by_its_hours_where_the_judge_never_ends_it(world):
    world.verdict = Verdict.INCONCLUSIVE
    start(world, hours=0.5)
    world.play()
    opened, ended = (entry.at for entry in operations.history(world.recipe.name, world.ledger, limit=2))
    assert timedelta(hours=0.5) <= ended - opened < timedelta(hours=0.6)


def test_how_many_users_it_is_for_stands_in_its_release(world):
    assert start(world, users=4000).release.users == 4000


def test_without_a_stable_it_is_refused(tmp_path):
    with pytest.raises(ReleaseRefused, match="nothing serves yet"):
        start(ReleaseWorld(tmp_path))


def test_beside_an_open_release_it_is_refused(world):
    world.record(3)
    with pytest.raises(ReleaseRefused, match="waits to be released"):
        start(world)
    world.advance()
    with pytest.raises(ReleaseRefused, match="is open"):
        start(world)


def test_while_nothing_may_move_forward_it_is_refused(world):
    operations.freeze(world.recipe.name, world.ledger, person="ada", reason="sale")
    with pytest.raises(ReleaseRefused, match="frozen: sale"):
        start(world)
    operations.unfreeze(world.recipe.name, world.ledger, person="ada")
    now = world.clock.now()
    sale = Blackout(start=now, end=now + timedelta(days=1), reason="sale")
    world.recipe = world.recipe.model_copy(update={"rollout": QUICK.model_copy(update={"blackouts": (sale,)})})
    with pytest.raises(ReleaseRefused, match="blackout until"):
        start(world)


def test_a_freeze_in_between_does_not_keep_it_from_ending(world):
    start(world)
    operations.freeze(world.recipe.name, world.ledger, person="ada", reason="sale")
    assert world.play().last_state is S.MEASURED


def test_a_candidate_that_comes_meanwhile_comes_first(world):
    start(world)
    third = world.record(3)
    world.advance()
    entry = operations.history(world.recipe.name, world.ledger, limit=1)[0]
    assert (entry.event.to, entry.event.reason) == (S.SUPERSEDED, f"a candidate comes first: {third}")
    assert world.play().stable.version == third


def test_claiming_a_candidate_ends_it_and_opens_the_candidates_release(world):
    aa = start(world).release.release_id
    assert operations.claim(world.recipe, world.ledger, world.artifacts, world.clock.now()).release_id == aa
    third = world.record(3)
    claimed = operations.claim(world.recipe, world.ledger, world.artifacts, world.clock.now())
    assert claimed.release_id.startswith("release-")
    assert claimed.release_id.endswith(third)


def test_a_person_aborts_it_at_once(world):
    start(world)
    assert operations.abort(world.recipe.name, world.ledger, person="ada", reason="enough").last_state is S.ABORTED
    assert world.play().untold == 0


def test_it_is_neither_held_nor_approved(world):
    start(world)
    with pytest.raises(ReleaseRefused, match="cannot go to held"):
        operations.hold(world.recipe.name, world.ledger, person="ada", reason="a look")
    with pytest.raises(ReleaseRefused, match="nothing can be approved"):
        operations.approve(world.recipe.name, world.ledger, person="ada")


@pytest.mark.parametrize("named", [True, False])
def test_a_rollback_means_stable_and_not_the_aa(world, named):
    stable, previous = world.state.stable.version, world.state.previous.version
    start(world)
    version = stable if named else ""
    operations.rollback(world.recipe, world, person="ada", reason="a complaint", version=version)
    assert world.path[-2:] == ["aborted", "promoting"]
    assert world.play().stable.version == previous


def test_a_rollback_without_a_previous_version_is_refused_and_ends_nothing(tmp_path):
    world = ReleaseWorld(tmp_path)
    world.stable(1)
    start(world)
    with pytest.raises(ReleaseRefused, match="cannot return"):
        operations.rollback(world.recipe, world, person="ada", reason="a complaint")
    assert world.state.release.state is S.JUDGING


def test_the_watch_sees_stable_and_no_candidate_and_leaves_it_when_it_is_sick(world):
    stable = start(world).stable.version
    assert [str(role) for role, _, _ in live_versions(world.state)] == ["stable", "previous"]
    world.metrics.set[stable] = SICK
    assert watch(world.recipe, world).roll_back.roll_back == stable


def test_a_dead_server_does_not_keep_it_from_ending(world):
    start(world, hours=0.1)
    world.clock.tick(400)
    world.true_server.down = True
    assert world.advance().state.last_state is S.MEASURED


def test_the_days_retrain_starts_from_the_same_parent_and_its_package_is_kept(world):
    stable = start(world).stable
    assert find_parent(world.recipe.name, interval(3), world.ledger).version == stable.version
    assert stable.package in needed_by_releases(world.state)
