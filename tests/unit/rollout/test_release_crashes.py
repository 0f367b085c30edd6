"""A kill before and after every effect of a release, then a restart from the ledger alone."""

import contextlib
import threading
from collections.abc import Callable

import pytest

from fakes.fake_server import Crash
from fakes.release_world import SICK, ReleaseWorld
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.ledger import ReleaseState
from recflow.errors import LedgerConflict
from recflow.rollout import operations

S = ReleaseState
Scenario = Callable[[ReleaseWorld], None]


def promote(world: ReleaseWorld) -> None:
    world.play()


def roll_back(world: ReleaseWorld) -> None:
    world.verdict = Verdict.FAIL
    world.play()


def roll_back_a_canary(world: ReleaseWorld) -> None:
    world.metrics.set[max(world.metrics.set)] = SICK
    world.play()


def reject(world: ReleaseWorld) -> None:
    world.check_verdict = Verdict.FAIL
    world.play()


def return_in_one_step(world: ReleaseWorld) -> None:
    world.play()
    operations.rollback(world.recipe, world, person="ada", reason="a complaint", version=max(world.metrics.set))
    world.play()


def measure_stable(world: ReleaseWorld) -> None:
    world.play()
    if world.state.last_state is not S.MEASURED:
        operations.start_aa(world.recipe, world.ledger, world.clock.now(), person="ada")
    world.play()


SCENARIOS: dict[str, Scenario] = {
    "promote": promote,
    "roll back after judging": roll_back,
    "roll back a canary": roll_back_a_canary,
    "reject": reject,
    "return in one step": return_in_one_step,
    "measure stable against itself": measure_stable,
}


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> ReleaseWorld:
    """Two versions have been stable, a third candidate waits."""
    world = ReleaseWorld(tmp_path_factory.mktemp("world"))
    world.stable(1)
    world.stable(2)
    world.record(3)
    return world


def end_of(world: ReleaseWorld) -> tuple[object, ...]:
    """What counts at the end: who serves, what is loaded, every state passed, and the projection for people."""
    state, moves = world.state, [move for move in world.path if move != "(told)"]
    ends = (state.stable and state.stable.version, state.previous and state.previous.version, state.last_state)
    return (
        ends,
        world.table.versions,
        world.loaded,
        state.retiring,
        moves,
        world.true_registry.aliases(world.recipe.name),
    )


def check_always(world: ReleaseWorld) -> None:
    """While nobody is killed and nothing is down, stable answers whenever routes name it."""
    if world.table.stable:
        assert world.table.stable in world.loaded


def crash_and_restart(world: ReleaseWorld, scenario: Scenario) -> None:
    try:
        scenario(world)
    except Crash:
        check_always(world)
        scenario(world)


READS = {"server.loaded", "server.score", "router.acknowledged", "registry.aliases"}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_crash_at_any_point_changes_neither_the_end_nor_the_way(start, name):
    scenario, calm = SCENARIOS[name], start.copy()
    scenario(calm)
    for number, call in enumerate(names := list(calm.wire.calls)):
        # After a read and before the next call nothing has happened in between.
        for moment in ("before",) if call in READS else ("before", "after"):
            world = start.copy()
            world.wire.arm(number, moment)
            crash_and_restart(world, scenario)
            assert world.wire.at is None, f"{moment} {call} ({number} of {len(names)}) was never reached"
            assert end_of(world) == end_of(calm), f"{moment} {call} ({number})"
            assert len(world.true_notifier.cards) >= len(calm.true_notifier.cards)
            check_always(world)


def test_a_card_is_delivered_although_the_process_died_before_it(start):
    calm, world = start.copy(), start.copy()
    reject(calm)
    world.wire.arm(calm.wire.calls.index("notifier.notify"), "before")
    with pytest.raises(Crash):
        reject(world)
    assert world.true_notifier.cards == []
    reject(world)
    assert [card.runbook for card in world.true_notifier.cards] == ["release-rejected"]
    assert world.state.untold == 0


def test_callers_at_once_write_the_same_ledger_as_one(start):
    calm, world = start.copy(), start.copy()
    calm.play()
    for _ in range(300):
        done = race(world, callers=3)
        if world.state.release is None and not any(each.changed for each in done):
            break
        world.poll()
        world.clock.tick(2)
    assert [move for move in world.path if move != "(told)"] == [move for move in calm.path if move != "(told)"]
    assert world.loaded == calm.loaded


def race(world: ReleaseWorld, callers: int) -> list:
    barrier, done = threading.Barrier(callers), []

    def call() -> None:
        barrier.wait()
        with contextlib.suppress(LedgerConflict):
            done.append(world.advance())

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


def test_whoever_comes_second_decides_afresh(start):
    world = start.copy()
    append, met = world.true_ledger.append, []

    def append_second(recipe, event, **kwargs):
        if not met:
            met.append(True)
            operations.freeze(recipe, world.true_ledger, person="ada", reason="sale")
        return append(recipe, event, **kwargs)

    world.true_ledger.append = append_second
    done = world.advance()
    assert "sale" in done.reason
    assert world.state.release is None
