from datetime import UTC, datetime, timedelta

import pytest

from fakes.release_world import NAME, ReleaseWorld, interval
from recflow.artifacts.ledger import ReleaseState
from recflow.artifacts.manifests import Manifest
from recflow.artifacts.refs import Ref, RefKind
from recflow.errors import ArtifactCorrupt, PermanentError
from recflow.rollout.housekeeping import Cleaned, clean_artifacts
from recflow.storage import list_files


@pytest.fixture
def world(tmp_path):
    return ReleaseWorld(tmp_path)


def clean(world, current=(), *, at_once=False) -> Cleaned:
    return clean_artifacts(
        world.recipe, store=world.store, ledger=world.true_ledger, clock=world.clock, current=current, at_once=at_once
    )


def clean_for_good(world, current=()):
    """Two passes a night apart."""
    clean(world, current)
    world.clock.tick(24 * 3600)
    return clean(world, current)


def make(world, kind: RefKind, *inputs: Ref, key: str = "", attempt: str = "a1") -> Ref:
    """An artifact of now, made from others."""
    folder = world.folder / f"made-{kind}-{len(world.store.objects)}"
    folder.mkdir()
    (folder / "content").write_text(folder.name)
    manifest = Manifest(
        kind=kind,
        recipe=NAME,
        stage="test",
        stage_version=1,
        key=key or folder.name,
        attempt=attempt,
        interval=interval(1),
        inputs={f"input_{number}": (ref,) for number, ref in enumerate(inputs)},
        files=list_files(folder),
        numbers={},
        reusable=True,
        created_at=world.clock.now(),
    )
    return world.artifacts.publish(manifest, folder, replace=bool(key))


def exists(world, ref: Ref) -> bool:
    try:
        world.artifacts.manifest(ref)
    except PermanentError:
        return False
    return f"{ref.uri.removeprefix(world.store.root + '/')}/a1/content" in world.store.objects


def pass_days(world, days: float) -> None:
    world.clock.tick(days * 24 * 3600)


def test_an_old_artifact_that_nothing_needs_goes_and_a_recent_one_stays(world):
    old = make(world, RefKind.DATASET)
    pass_days(world, 31)
    recent = make(world, RefKind.DATASET)
    clean_for_good(world)
    assert not exists(world, old)
    assert exists(world, recent)
    assert not any("made-dataset-0" in key for key in world.store.objects if "suspects" not in key)


def test_what_a_recent_artifact_was_made_from_stays_however_old_it_is(world):
    source = make(world, RefKind.PARTITION)
    dataset = make(world, RefKind.DATASET, source)
    pass_days(world, 100)
    make(world, RefKind.CHECKPOINT, dataset)
    clean_for_good(world)
    assert exists(world, source)
    assert exists(world, dataset)


def test_stable_previous_and_an_open_release_stay_with_all_they_were_made_from_for_ever(world):
    released = {}
    for day in (1, 2, 3, 4):
        model = make(world, RefKind.MODEL, make(world, RefKind.CHECKPOINT))
        package = make_package(world, day, model)
        world.record(day, package)
        world.play(until=None if day < 4 else lambda state: state.release is not None)
        released[day] = (package, model)
    assert world.state.release is not None
    assert world.state.release.state is ReleaseState.PACKAGED
    pass_days(world, 400)
    clean_for_good(world)
    first, *others = (released[day] for day in (1, 2, 3, 4))
    for package, model in others:
        assert world.artifacts.fetch(package)
        assert exists(world, model)
    assert not exists(world, first[1])


def make_package(world, day: int, model: Ref) -> Ref:
    plain = world.package(day)
    made = world.artifacts.manifest(plain)
    folder = world.artifacts.fetch(plain)
    named = made.model_copy(update={"inputs": {"model": (model,)}, "key": f"{made.key}-of-{model.short}"})
    return world.artifacts.publish(named, folder)


def test_a_waiting_candidate_keeps_its_decision_too(world):
    world.record(1)
    pass_days(world, 400)
    clean_for_good(world)
    candidate = world.state.waiting
    assert world.artifacts.manifest(candidate.package)
    assert world.artifacts.manifest(candidate.decision)


def test_the_current_partition_of_a_day_stays_however_old_it_is(world):
    partition = make(world, RefKind.PARTITION)
    superseded = make(world, RefKind.PARTITION)
    world.store.put(f"{NAME}/partitions/heads/2011-01-01/000001.json", b"{}")
    pass_days(world, 400)
    clean_for_good(world, current=[partition])
    assert exists(world, partition)
    assert not exists(world, superseded)
    assert f"{NAME}/partitions/heads/2011-01-01/000001.json" in world.store.objects


def test_an_attempt_that_never_got_its_manifest_goes_after_two_passes_and_not_before(world):
    world.store.put(f"{NAME}/models/{'a' * 64}/lost/model.onnx", b"half")
    assert clean(world) == Cleaned(deleted=0, suspected=1)
    world.clock.tick(3600)
    assert clean(world) == Cleaned(deleted=0, suspected=1)
    world.clock.tick(12 * 3600)
    assert clean(world) == Cleaned(deleted=1, suspected=0)
    assert not world.store.list(f"{NAME}/models/")


def test_an_attempt_that_was_being_published_during_the_first_pass_is_left_alone(world):
    key, prefix = "b" * 64, f"{NAME}/checkpoints/{'b' * 64}"
    world.store.put(f"{prefix}/a1/content", b"already uploaded")
    clean(world)
    published = make(world, RefKind.CHECKPOINT, key=key)
    world.clock.tick(24 * 3600)
    clean(world)
    assert exists(world, published)


def test_the_loser_of_a_race_goes_and_the_winner_stays(world):
    winner = make(world, RefKind.MODEL, key="c" * 64)
    world.store.put(f"{NAME}/models/{'c' * 64}/loser/content", b"same work, later")
    clean_for_good(world)
    assert exists(world, winner)
    assert world.store.list(f"{NAME}/models/{'c' * 64}/loser/") == []


def test_a_result_that_was_computed_again_keeps_the_older_one_while_a_release_needs_it(world):
    key = "d" * 64
    older = make(world, RefKind.MODEL, key=key, attempt="a1")
    world.record(1, make_package(world, 1, older))
    world.play()
    newer = make(world, RefKind.MODEL, key=key, attempt="a2")
    pass_days(world, 100)
    clean_for_good(world)
    assert exists(world, older)
    assert world.artifacts.find(NAME, RefKind.MODEL, key) is None
    with pytest.raises(PermanentError):
        world.artifacts.manifest(newer)


def test_while_a_manifest_cannot_be_read_only_unpublished_attempts_go_and_it_is_told(world):
    old = make(world, RefKind.DATASET)
    lost = f"{NAME}/models/{'a' * 64}/lost/model.onnx"
    world.store.put(lost, b"half")
    broken = f"{NAME}/models/{'f' * 64}"
    world.store.put(f"{broken}/manifest.json", b"torn")
    world.store.put(f"{broken}/a1/model.onnx", b"whole")
    pass_days(world, 100)
    for _ in range(2):
        world.clock.tick(24 * 3600)
        with pytest.raises(ArtifactCorrupt, match=f"{broken}/manifest.json is no manifest"):
            clean(world)
    assert exists(world, old)
    assert world.store.get(lost) is None
    assert len(world.store.list(f"{broken}/")) == 2


def test_a_manifest_that_was_changed_does_not_cost_the_artifact_that_it_stands_for(world):
    stable = make(world, RefKind.PACKAGE)
    (key,) = (key for key in world.store.list(f"{NAME}/packages/") if "/manifests/" in key)
    world.store.put(key, (world.store.get(key) or b"").replace(b"2011", b"2012", 1))
    pass_days(world, 100)
    before = world.store.list(f"{NAME}/packages/")
    for _ in range(2):
        world.clock.tick(24 * 3600)
        with pytest.raises(ArtifactCorrupt, match="was changed"):
            clean(world, current=[stable])
    assert world.store.list(f"{NAME}/packages/") == before


def test_an_interrupted_pass_leaves_only_garbage_for_the_next_one(world):
    make(world, RefKind.MODEL, key="e" * 64)
    pass_days(world, 100)
    clean(world)
    world.clock.tick(24 * 3600)
    world.store.delete(f"{NAME}/models/{'e' * 64}/manifest.json")
    clean(world)
    assert world.store.list(f"{NAME}/models/") == []


def test_a_full_store_is_freed_at_once_when_a_person_says_so(world):
    world.store.put(f"{NAME}/models/{'a' * 64}/lost/model.onnx", b"half")
    assert clean(world, at_once=True) == Cleaned(deleted=1, suspected=0)


def test_cleaning_a_recipe_without_a_history_does_nothing(world):
    assert clean(world) == Cleaned(deleted=0, suspected=0)


def test_the_clock_decides_what_is_old(world):
    assert world.clock.now() < datetime.now(UTC) - timedelta(days=1000)
    make(world, RefKind.DATASET)
    assert clean_for_good(world) == Cleaned(deleted=0, suspected=0)


def test_a_refused_day_is_kept_as_long_as_other_artifacts_and_what_people_released_for_ever(world):
    act = f"{NAME}/quarantine/released/2011-01-01/000001.json"
    world.store.put(act, b"{}")
    old = make(world, RefKind.REFUSAL)
    pass_days(world, 31)
    recent = make(world, RefKind.REFUSAL)
    clean_for_good(world)
    assert exists(world, recent)
    assert not exists(world, old)
    assert not [key for key in world.store.objects if key.startswith(old.uri.removeprefix(f"{world.store.root}/"))]
    assert act in world.store.objects
