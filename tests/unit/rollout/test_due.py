from datetime import UTC, datetime, timedelta

import pytest

from fakes.release_world import QUICK, ReleaseWorld
from recflow.artifacts.ledger import LedgerState, ReleaseState
from recflow.artifacts.plans import Blackout
from recflow.rollout import operations
from recflow.rollout.due import next_due
from recflow.rollout.progress import progress

S = ReleaseState
NOW = datetime(2011, 1, 5, tzinfo=UTC)


@pytest.fixture
def world(tmp_path):
    return ReleaseWorld(tmp_path)


def at(state):
    return lambda ledger: ledger.release is not None and ledger.release.state is state


def test_an_empty_ledger_is_due_never():
    assert next_due(LedgerState(), QUICK, NOW) is None


def test_a_waiting_candidate_is_due_at_once_unless_frozen(world):
    world.record(1)
    assert next_due(world.state, QUICK, NOW) == 0
    frozen = operations.freeze(world.recipe.name, world.ledger, person="ada", reason="sale")
    assert next_due(frozen, QUICK, NOW) == 60


def test_what_a_blackout_stops_before_shoppers_is_looked_at_every_minute(world):
    blackout = Blackout(start=NOW, end=NOW + timedelta(hours=1), reason="double eleven")
    world.record(1)
    assert next_due(world.state, QUICK.model_copy(update={"blackouts": (blackout,)}), NOW) == 60
    world.play(at(S.CHECKED))
    assert next_due(world.state, QUICK.model_copy(update={"blackouts": (blackout,)}), NOW) == 60
    assert next_due(world.state, QUICK.model_copy(update={"blackouts": (blackout,)}), blackout.end) == 0


def test_a_task_that_follows_a_release_waits_through_a_blackout(world):
    world.record(1)
    world.play(at(S.PACKAGED))
    now = world.clock.now()
    blackout = Blackout(start=now, end=now + timedelta(hours=1), reason="double eleven")
    plan = QUICK.model_copy(update={"blackouts": (blackout,)})
    world.recipe = world.recipe.model_copy(update={"rollout": plan})
    release_id = world.state.release.release_id
    assert progress(world.recipe, release_id, ledger=world.ledger, now=now).wait_s == world.advance().wait_s == 60


@pytest.mark.parametrize(
    ("state", "after_s", "due_s"),
    [
        (S.PACKAGED, 0, 0),
        (S.SHADOW, 0, 1),
        (S.SHADOW, 9.5, 1),
        (S.CANARY, 0, 2),
        (S.CANARY, 19, 1),
        (S.CANARY, 500, 2),
        (S.JUDGING, 0, 10),
        (S.PROMOTING, 0, 1),
    ],
)
def test_a_release_is_due_by_its_plan_and_the_ledgers_time(world, state, after_s, due_s):
    world.stable(1)
    world.record(2)
    entered = world.play(at(state)).release.entered_at
    assert next_due(world.state, QUICK, entered + timedelta(seconds=after_s)) == due_s


def test_a_held_release_is_due_when_its_grace_time_ends_and_looked_at_every_minute(world):
    world.stable(1)
    world.record(2)
    world.play(at(S.JUDGING))
    operations.hold(world.recipe.name, world.ledger, person="ada", reason="a strange graph")
    world.advance()
    entered = world.state.release.entered_at
    assert next_due(world.state, QUICK, entered) == 60
    assert next_due(world.state, QUICK, entered + timedelta(seconds=QUICK.hold_grace_seconds - 5)) == 5


def test_what_nobody_was_told_of_is_due_at_once(world):
    world.stable(1)
    world.record(2)
    world.play(at(S.JUDGING))
    held = operations.hold(world.recipe.name, world.ledger, person="ada", reason="a strange graph")
    assert next_due(held, QUICK, NOW) == 0
