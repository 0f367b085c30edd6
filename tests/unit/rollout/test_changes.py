"""Whether a release is a refresh or a change follows from what differs from the serving version."""

import pytest

from fakes.release_world import ReleaseWorld
from fakes.tiny_model import write_package
from recflow.artifacts.ledger import ReleaseState as S
from recflow.artifacts.refs import RefKind
from recflow.config.sections.training import TrainingSection
from recflow.errors import StoreUnavailable
from recflow.rollout.changes import UNKNOWN, what_changed


@pytest.fixture
def world(tmp_path):
    return ReleaseWorld(tmp_path)


def with_epochs(world, epochs):
    return world.recipe.model_copy(update={"training": TrainingSection(epochs=epochs)})


def opened(world):
    return world.play(lambda ledger: ledger.release is not None).release


def test_the_same_recipe_on_a_new_day_is_a_refresh(world):
    world.stable(1)
    world.record(2)
    release = opened(world)
    assert (release.plan.kind, release.changes, release.reason) == ("refresh", (), "")


def test_a_recipe_whose_comment_alone_differs_is_a_refresh(world):
    world.stable(1)
    world.record(2, world.package(2, world.recipe.model_copy(update={"description": "with another remark"})))
    assert opened(world).plan.kind == "refresh"


def test_an_option_that_shapes_the_model_makes_a_change_and_is_named(world):
    world.stable(1)
    world.record(2, world.package(2, with_epochs(world, 5)))
    release = opened(world)
    assert release.plan.kind == "change"
    assert release.changes == ("training.epochs: 2 → 5",)
    assert release.reason == "a change: training.epochs: 2 → 5"


def test_the_decision_on_a_change_names_it(world):
    world.stable(1)
    world.record(2, world.package(2, with_epochs(world, 5)))
    world.play()
    entries = world.true_ledger.entries(world.recipe.name)
    promoting = next(entry for entry in entries if entry.event.to is S.PROMOTING)
    assert promoting.event.decision.numbers["changes"] == ["training.epochs: 2 → 5"]


def test_the_night_after_a_change_that_was_promoted_is_a_refresh_again(world):
    world.stable(1)
    changed = with_epochs(world, 5)
    world.record(2, world.package(2, changed))
    world.play()
    world.record(3, world.package(3, changed))
    assert opened(world).plan.kind == "refresh"


def test_a_serving_version_of_unknown_making_counts_as_different(world):
    folder = write_package(world.folder / "from-elsewhere", weight=1.0)
    world.record(1, world.publish(RefKind.PACKAGE, 1, folder))
    world.play()
    world.record(2)
    release = opened(world)
    assert (release.plan.kind, release.changes) == ("change", (UNKNOWN,))


def test_a_store_that_does_not_answer_opens_no_release_by_guesswork(world):
    world.stable(1)
    world.record(2)
    state = world.state

    class Away:
        def read(self, ref, path):
            raise StoreUnavailable("the store does not answer")

    with pytest.raises(StoreUnavailable):
        what_changed(state.waiting.package, state.stable, Away())
