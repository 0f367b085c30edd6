import pytest

from fakes.release_world import QUICK, ReleaseWorld
from recflow.artifacts.ledger import ReleaseState
from recflow.errors import PermanentError, ReleaseRefused
from recflow.rollout import operations
from recflow.rollout.progress import progress

S = ReleaseState


@pytest.fixture
def world(tmp_path):
    return ReleaseWorld(tmp_path)


def at(state):
    return lambda ledger: ledger.release is not None and ledger.release.state is state


def rollback(world, **changes):
    return operations.rollback(world.recipe, world, person="ada", reason="a complaint", **changes)


def test_a_person_rolls_an_open_release_back(world):
    world.stable(1)
    world.record(2)
    world.play(at(S.JUDGING))
    rollback(world)
    assert world.table.arms == ()
    assert world.play().last_state is S.ROLLED_BACK


def test_asking_twice_for_a_rollback_rolls_back_once(world):
    world.stable(1)
    world.record(2)
    world.play(at(S.JUDGING))
    rollback(world)
    rollback(world)
    world.play()
    assert world.path.count("rolling_back") == 1


def test_without_an_open_release_a_rollback_returns_to_the_previous_version_in_one_step(world):
    first, second = world.stable(1), world.stable(2)
    rollback(world)
    assert world.table.versions == (first,)
    state = world.play()
    assert (state.stable.version, state.previous.version) == (first, second)
    assert world.true_notifier.cards[-1].title.endswith("returned in one step")


def test_a_return_on_its_way_is_not_rolled_back_by_a_second_call(world):
    first, second = world.stable(1), world.stable(2)
    rollback(world, version=second)
    rollback(world, version=second)
    rollback(world)
    assert world.play().stable.version == first


def held_return(world):
    """A return that a gateway has not taken in time; the version it leads to, and the one that was left."""
    first, second = world.stable(1), world.stable(2)
    rollback(world)
    world.clock.tick(QUICK.health.no_data_grace_seconds)
    world.advance()
    world.advance()
    assert world.state.release.state is S.HELD
    return first, second


def test_a_held_return_waits_for_a_person_however_long_it_takes(world):
    first, _ = held_return(world)
    world.clock.tick(10 * QUICK.hold_grace_seconds)
    assert (world.advance().changed, world.advance().wait_s) == (False, 60)
    assert (world.state.release.state, world.table.versions) == (S.HELD, (first,))
    operations.resume(world.recipe.name, world.ledger, person="ada")
    assert world.play().stable.version == first


def test_the_card_of_a_held_return_leads_on_and_not_back(world):
    held_return(world)
    card = world.true_notifier.cards[-1]
    assert (card.command, card.shoppers_affected) == (f"recflow release resume {world.recipe.name}", True)


def test_a_person_may_go_back_from_a_held_return_and_the_watch_may_not(world):
    first, second = held_return(world)
    rollback(world, version=first)
    assert world.state.release.state is S.HELD
    rollback(world)
    assert (world.play().last_state, world.state.stable.version) == (S.ROLLED_BACK, second)


def test_a_caller_that_saw_another_version_changes_nothing(world):
    first, second = world.stable(1), world.stable(2)
    rollback(world, version=first)
    assert world.play().stable.version == second


def test_without_a_previous_version_there_is_nothing_to_return_to(world):
    world.stable(1)
    with pytest.raises(ReleaseRefused, match="a previous version"):
        rollback(world)


def test_the_day_after_a_return_the_next_candidate_is_released_as_ever(world):
    first, _ = world.stable(1), world.stable(2)
    rollback(world)
    world.play()
    third = world.record(3)
    state = world.play()
    assert (state.stable.version, state.previous.version) == (third, first)


def test_an_abort_before_shoppers_ends_at_once_and_after_them_by_rolling_back(world):
    world.stable(1)
    world.record(2)
    world.play(at(S.CHECKED))
    assert operations.abort(world.recipe.name, world.ledger, person="ada", reason="no").last_state is S.ABORTED
    world.record(3)
    world.play(at(S.CANARY))
    operations.abort(world.recipe.name, world.ledger, person="ada", reason="no")
    assert world.play().last_state is S.ROLLED_BACK


@pytest.mark.parametrize("act", [operations.approve, operations.resume])
def test_what_does_not_wait_for_a_person_cannot_be_approved_or_resumed(world, act):
    world.record(1)
    world.advance()
    with pytest.raises(ReleaseRefused, match="in packaged"):
        act(world.recipe.name, world.ledger, person="ada")


def test_who_did_it_and_why_stand_in_the_ledger(world):
    world.stable(1)
    operations.freeze(world.recipe.name, world.ledger, person="ada", reason="double eleven")
    entry = operations.history(world.recipe.name, world.ledger, limit=1)[0]
    assert (entry.actor, entry.event.reason) == ("ada", "double eleven")


def test_a_freeze_ends_when_it_is_lifted(world):
    world.record(1)
    operations.freeze(world.recipe.name, world.ledger, person="ada", reason="sale")
    world.play()
    assert world.state.release is None
    operations.unfreeze(world.recipe.name, world.ledger, person="ada")
    assert world.play().stable is not None


def test_the_model_that_serves_today_is_adopted_and_then_compared_with(world):
    adopted = adopt(world, world.package(1))
    assert world.loaded == (adopted.stable.version,)
    world.record(2)
    world.metrics.set[adopted.stable.version] = next(iter(world.metrics.set.values()))
    world.play()
    assert "canary" in world.path


def adopt(world, package):
    return operations.adopt(world.recipe, package, world, person="ada")


def test_adopting_again_changes_nothing_and_adopting_another_is_refused(world):
    package = world.package(1)
    seq = adopt(world, package).seq
    assert adopt(world, package).seq == seq
    with pytest.raises(ReleaseRefused, match="cannot be adopted"):
        adopt(world, world.package(2))


def test_adopting_an_older_model_does_not_forget_what_was_recorded(world):
    world.record(2)
    newest = world.state.newest_trained_through
    assert adopt(world, world.package(1)).newest_trained_through == newest


def test_only_a_package_is_adopted(world):
    with pytest.raises(PermanentError, match="passed as a package"):
        adopt(world, world.decision(1))


def test_claiming_opens_the_waiting_candidate_once(world):
    version = world.record(1)
    claimed = claim(world)
    assert claimed.release_id.endswith(version)
    assert claim(world) == claimed


def claim(world):
    return operations.claim(world.recipe, world.ledger, world.artifacts, world.clock.now())


def test_nothing_to_claim_is_an_empty_name_and_says_why(world):
    assert claim(world) == operations.Claimed("", "no candidate is waiting and no release is open")
    version = world.record(1)
    operations.freeze(world.recipe.name, world.ledger, person="ada", reason="sale")
    assert claim(world) == operations.Claimed("", f"{version} waits: frozen: sale")


def test_the_plan_is_frozen_when_the_release_opens(world):
    world.record(1)
    claim(world)
    world.recipe = world.recipe.model_copy(update={"rollout": QUICK.model_copy(update={"approve_first": True})})
    world.play()
    assert "awaiting_approval" not in world.path


def test_progress_follows_a_release_until_after_its_end(world):
    world.record(1)
    release = claim(world).release_id
    see = lambda: progress(world.recipe, release, ledger=world.ledger, now=world.clock.now())  # noqa: E731
    assert see().stands_in(("packaged", "checked"))
    world.play()
    world.stable(2)
    assert (see().state, see().ended) == (S.STABLE, True)


def test_progress_of_an_unknown_release_is_refused(world):
    with pytest.raises(ReleaseRefused, match="no release nope"):
        progress(world.recipe, "nope", ledger=world.ledger, now=world.clock.now())


@pytest.mark.parametrize("command", ["approve", "hold", "resume", "abort", "freeze", "unfreeze", "accept", "give_up"])
def test_a_reason_that_no_card_could_show_is_refused_and_changes_nothing(world, command):
    world.stable(1)
    before = world.state
    with pytest.raises(ReleaseRefused, match=r"at most 1,000 characters.*100,000"):
        getattr(operations, command)(world.recipe.name, world.ledger, person="ada", reason="x" * 100_000)
    assert world.state == before


def test_a_rollback_for_too_long_a_reason_is_refused(world):
    world.stable(1)
    world.stable(2)
    before = world.state
    with pytest.raises(ReleaseRefused, match="at most 1,000 characters"):
        operations.rollback(world.recipe, world, person="ada", reason="x" * 1001)
    assert world.state == before
    operations.rollback(world.recipe, world, person="ada", reason="x" * 1000)
    assert world.state.release is not None
