"""Whether a run should be started that carries a release, and what a paused DAG stops."""

import threading

import pytest

from fakes.release_world import SICK, ReleaseWorld
from recflow.artifacts.ledger import ReleaseState as S
from recflow.rollout import operations
from recflow.rollout.attendance import run_wanted
from recflow.rollout.machine import advance


@pytest.fixture
def world(tmp_path):
    return ReleaseWorld(tmp_path)


def at(state):
    return lambda ledger: ledger.release is not None and ledger.release.state is state


def wanted(world, minutes=2):
    world.clock.tick(60 * minutes)
    return run_wanted(world.true_ledger.head(world.recipe.name), world.recipe.rollout, world.clock.now())


def advance_paused(world):
    return advance(world.recipe, world, world.judge, world.check, paused=True)


def test_nothing_is_wanted_before_the_first_candidate_and_after_a_release(world):
    assert wanted(world) == ""
    world.stable(1)
    assert wanted(world) == ""


def test_a_candidate_whose_wake_up_was_lost_is_wanted_after_a_minute(world):
    version = world.record(1)
    assert wanted(world, minutes=0.5) == "", "its own wake-up is on the way"
    assert wanted(world, minutes=0.5) == f"{version} waits to be released, and no run has begun"


def test_a_release_whose_run_was_deleted_in_mid_step_is_wanted(world):
    world.stable(1)
    world.record(2)
    world.play(at(S.CANARY))
    assert "is in canary, and no run carries it" in wanted(world)


def test_a_held_release_waits_for_a_person_and_is_wanted_once_resumed(world):
    world.stable(1)
    world.record(2)
    world.play(at(S.CANARY))
    operations.hold(world.recipe.name, world.ledger, person="ada", reason="a look")
    assert wanted(world) == ""
    operations.resume(world.recipe.name, world.ledger, person="ada")
    assert "is in canary" in wanted(world)


def test_a_frozen_line_wants_no_run_for_a_candidate_that_may_not_be_opened(world):
    world.record(1)
    operations.freeze(world.recipe.name, world.ledger, person="ada", reason="sale")
    assert wanted(world) == ""


def test_an_aa_is_left_to_the_watch(world):
    world.stable(1)
    operations.start_aa(world.recipe, world.ledger, world.clock.now(), person="ada")
    assert wanted(world) == ""


def test_a_clock_that_was_put_back_hides_no_release_for_ever(world):
    world.record(1)
    assert wanted(world, minutes=-60) != ""


def test_while_its_dag_is_paused_a_candidate_waits_and_says_why(world):
    version = world.record(1)
    told = advance_paused(world)
    assert (told.changed, told.reason) == (False, "its release DAG is paused")
    assert world.state.waiting.version == version
    world.play()
    assert world.state.stable.version == version


@pytest.mark.parametrize("stage", [S.SHADOW, S.CANARY, S.JUDGING])
def test_a_paused_release_stands_still_on_the_way_forward(world, stage):
    world.stable(1)
    world.record(2)
    world.play(at(stage))
    for _ in range(20):
        world.clock.tick(30)
        advance_paused(world)
    assert world.state.release.state is stage


def test_a_paused_release_goes_every_step_of_the_way_back(world):
    first = world.stable(1)
    version = world.record(2)
    world.play(at(S.CANARY))
    world.metrics.set[version] = SICK
    for _ in range(10):
        world.clock.tick(30)
        world.poll()
        advance_paused(world)
    assert world.state.last_state is S.ROLLED_BACK
    assert world.state.stable.version == first


def test_two_hosts_watches_at_once_do_each_step_once(world):
    world.stable(1)
    version = world.record(2)
    failures = []

    def host():
        try:
            world.play()
        except Exception as error:  # noqa: BLE001 - seen by the test, not by the thread
            failures.append(error)

    hosts = [threading.Thread(target=host) for _ in range(2)]
    for thread in hosts:
        thread.start()
    for thread in hosts:
        thread.join()
    world.play()
    assert not failures
    assert world.state.stable.version == version
    assert [step for step in world.path if step == "promoting"] == ["promoting"] * 2
    assert world.path.count("stable") == 2
