"""A change that was refused is tried on a set number of nights; then its line stands still until a person says."""

import pytest

from fakes.release_world import ReleaseWorld, interval
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.ledger import EventKind
from recflow.artifacts.ledger import ReleaseState as S
from recflow.config.sections.training import TrainingSection
from recflow.domain.refused_changes import standstill
from recflow.errors import ReleaseRefused
from recflow.rollout import operations
from recflow.rollout.attendance import run_wanted
from recflow.rollout.candidates import record_candidate
from recflow.rollout.due import next_due


@pytest.fixture
def world(tmp_path):
    """A line whose first day serves."""
    world = ReleaseWorld(tmp_path)
    world.stable(1)
    return world


def changed(world, epochs=5):
    return world.recipe.model_copy(update={"training": TrainingSection(epochs=epochs)})


def judged_offline(world, day, verdict=Verdict.FAIL, recipe=None):
    """What the retrain of a day ends with, made by the changed recipe unless another is given."""
    return record_candidate(
        world.recipe,
        interval(day),
        package=world.package(day, recipe or changed(world)),
        checkpoint=None,
        decision=world.decision(day, verdict),
        ledger=world.true_ledger,
        artifacts=world.artifacts,
    )


def try_change(world, day, recipe=None):
    """One night of the changed recipe, its release included."""
    world.record(day, world.package(day, recipe or changed(world)))
    return world.play()


def refuse_twice(world):
    for day in (2, 3):
        judged_offline(world, day)


def opened_for(world, day, recipe=None):
    world.record(day, world.package(day, recipe or changed(world)))
    return world.play(lambda state: state.release is not None).release


def test_the_refusal_of_a_change_names_what_differs(world):
    judged_offline(world, 2)
    assert world.true_ledger.head(world.recipe.name).event.changes == ("training.epochs: 2 → 5",)
    refused = world.state.refused
    assert (refused.nights, refused.tries, refused.changes) == (("2011-01-02",), 1, ("training.epochs: 2 → 5",))


def test_a_refused_refresh_is_not_counted(world):
    judged_offline(world, 2, recipe=world.recipe)
    assert world.state.refused is None


def test_a_change_that_was_refused_once_is_tried_again(world):
    judged_offline(world, 2)
    assert opened_for(world, 3).plan.kind == "change"


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        ("offline", "the offline gate says FAIL: as scripted"),
        ("undecided offline", "the offline gate says INCONCLUSIVE: as scripted"),
        ("infra check", "as scripted"),
        ("online", "as scripted"),
        ("undecided online", "no verdict after 1 hours (keep_stable): as scripted"),
        ("a person", "a complaint"),
    ],
)
def test_every_kind_of_refusal_counts_and_tells_itself(world, refusal, told):
    if refusal == "offline":
        judged_offline(world, 2)
    elif refusal == "undecided offline":
        judged_offline(world, 2, Verdict.INCONCLUSIVE)
    else:
        world.check_verdict = Verdict.FAIL if refusal == "infra check" else Verdict.PASS
        world.verdict = {"online": Verdict.FAIL, "undecided online": Verdict.INCONCLUSIVE}.get(refusal, Verdict.PASS)
        world.record(2, world.package(2, changed(world)))
        if refusal == "a person":
            world.play(lambda state: state.release is not None and state.release.state is S.CANARY)
            operations.rollback(world.recipe, world, person="ada", reason="a complaint")
        world.play()
    assert (world.state.refused.tries, world.state.refused.reason) == (1, told)


def test_what_was_aborted_before_any_shopper_met_it_was_not_refused(world):
    world.record(2, world.package(2, changed(world)))
    world.advance()
    operations.abort(world.recipe.name, world.true_ledger, person="ada", reason="not today")
    assert world.play().refused is None


def test_a_night_that_is_run_again_counts_once(world):
    for _ in range(3):
        judged_offline(world, 2)
    assert world.state.refused.tries == 1


def test_after_the_set_number_of_nights_nothing_is_opened_and_no_run_is_wanted(world):
    refuse_twice(world)
    version = world.record(4, world.package(4, changed(world)))
    state = world.play()
    assert state.release is None
    claimed = operations.claim(world.recipe, world.ledger, world.artifacts, world.clock.now())
    told = "a change was refused on 2 nights: training.epochs: 2 → 5. Last: the offline gate says FAIL: as scripted"
    assert (claimed.release_id, claimed.reason) == ("", f"{version} waits: the line stands still: {told}")
    world.clock.tick(600)
    plan, now = world.recipe.rollout, world.clock.now()
    assert run_wanted(world.true_ledger.head(world.recipe.name), plan, now) == ""
    assert next_due(world.state, plan, now) == 60


def test_more_nights_in_the_recipe_let_it_be_tried_further(world):
    refuse_twice(world)
    rollout = world.recipe.rollout.model_copy(update={"change_tries": 3})
    world.recipe = world.recipe.model_copy(update={"rollout": rollout})
    assert opened_for(world, 4).plan.kind == "change"


def test_a_reverted_recipe_goes_on_as_a_refresh_and_ends_the_count(world):
    refuse_twice(world)
    assert opened_for(world, 4, world.recipe).plan.kind == "refresh"
    assert world.play().refused is None


def test_another_change_has_its_own_nights(world):
    refuse_twice(world)
    assert opened_for(world, 4, changed(world, epochs=3)).plan.kind == "change"
    world.verdict = Verdict.FAIL
    refused = world.play().refused
    assert (refused.changes, refused.tries) == (("training.epochs: 2 → 3",), 1)


def test_a_promoted_change_ends_the_count(world):
    judged_offline(world, 2)
    assert try_change(world, 3).refused is None


def test_an_older_refresh_that_is_promoted_late_ends_no_count(world):
    world.record(2)
    world.play(lambda state: state.release is not None and state.release.state is S.JUDGING)
    judged_offline(world, 3)
    state = world.play()
    assert state.stable.trained_through == interval(2).end
    assert state.refused.nights == ("2011-01-03",)


def test_a_return_to_the_previous_version_ends_no_count(world):
    world.stable(2)
    judged_offline(world, 3)
    operations.rollback(world.recipe, world, person="ada", reason="a complaint")
    state = world.play()
    assert (state.last_state, state.refused.tries) == (S.STABLE, 1)


def test_a_change_that_is_accepted_is_judged_as_a_refresh_and_says_who_accepted_it(world):
    refuse_twice(world)
    world.record(4, world.package(4, changed(world)))
    operations.accept(world.recipe.name, world.true_ledger, person="ada", reason="half the cost")
    release = world.play(lambda state: state.release is not None).release
    assert (release.plan.kind, release.changes) == ("refresh", ("training.epochs: 2 → 5",))
    told = "a change, judged as a refresh (accepted by ada: half the cost): training.epochs: 2 → 5"
    assert release.reason == told
    entry = next(
        entry for entry in world.true_ledger.entries(world.recipe.name) if entry.event.kind is EventKind.CHANGE_ACCEPTED
    )
    assert (entry.actor, entry.event.reason) == ("ada", "accepted by ada: half the cost")


def test_an_accepted_change_may_order_otherwise_in_shadow(world):
    refuse_twice(world)
    operations.accept(world.recipe.name, world.true_ledger, person="ada", reason="half the cost")
    world.record(4, world.package(4, changed(world)))
    world.play(lambda state: state.release is not None and state.release.state is S.SHADOW)
    world.compare([-1.0] * 40)
    state = world.play(lambda state: state.release is not None and state.release.state in {S.CANARY, S.HELD})
    assert state.release.state is S.CANARY


def test_an_accepted_change_that_is_refused_again_has_the_same_number_of_nights(world):
    refuse_twice(world)
    operations.accept(world.recipe.name, world.true_ledger, person="ada", reason="half the cost")
    world.verdict = Verdict.FAIL
    try_change(world, 4)
    refused = try_change(world, 5).refused
    assert (refused.tries, len(refused.nights)) == (2, 4)
    assert standstill(refused, 2, refused.made_with).startswith(
        "the line stands still: a change was refused on 2 nights"
    )


def test_an_acceptance_is_of_one_change_only(world):
    refuse_twice(world)
    operations.accept(world.recipe.name, world.true_ledger, person="ada", reason="half the cost")
    assert opened_for(world, 4, changed(world, epochs=3)).plan.kind == "change"


def test_a_change_that_was_given_up_is_tried_no_more_and_its_candidate_waits_no_more(world):
    judged_offline(world, 2)
    judged_offline(world, 3, Verdict.PASS)
    assert world.state.waiting is not None
    operations.give_up(world.recipe.name, world.true_ledger, person="ada", reason="no use")
    assert world.state.waiting is None
    refused = world.state.refused
    told = "the line stands still: a change was given up (given up by ada: no use): training.epochs: 2 → 5"
    assert standstill(refused, 2, refused.made_with) == told


def test_a_line_whose_change_was_given_up_goes_on_with_another_recipe(world):
    judged_offline(world, 2)
    operations.give_up(world.recipe.name, world.true_ledger, person="ada", reason="no use")
    assert opened_for(world, 3, world.recipe).plan.kind == "refresh"


def test_a_persons_last_word_holds(world):
    judged_offline(world, 2)
    operations.give_up(world.recipe.name, world.true_ledger, person="ada", reason="no use")
    operations.accept(world.recipe.name, world.true_ledger, person="eve", reason="it is of use")
    assert opened_for(world, 3).plan.kind == "refresh"


@pytest.mark.parametrize("answer", [operations.accept, operations.give_up])
def test_a_word_without_a_refused_change_or_without_a_reason_is_refused(world, answer):
    with pytest.raises(ReleaseRefused, match="no change that was refused"):
        answer(world.recipe.name, world.true_ledger, person="ada", reason="why not")
    judged_offline(world, 2)
    before = world.state
    with pytest.raises(ReleaseRefused, match="a reason for the ledger"):
        answer(world.recipe.name, world.true_ledger, person="ada", reason="  ")
    assert world.state == before


def test_a_candidate_that_was_recorded_before_its_making_was_told_is_opened(world):
    refuse_twice(world)
    world.record(4, world.package(4, changed(world)))
    old = world.state.waiting.model_copy(update={"made_with": ""})
    state = world.state.model_copy(update={"waiting": old})
    assert standstill(state.refused, 2, old.made_with) == ""
