import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from fakes.fake_clock import FakeClock
from fakes.memory_store import MemoryStore
from recflow.artifacts.digests import digest_bytes
from recflow.artifacts.refs import Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.domain.intervals import day_interval
from recflow.errors import BadData, PermanentError, StoreFull
from recflow.stages import StageOutput, StageRunner, StageSpec, stage_key
from recflow.storage import ArtifactStore

SPEC = StageSpec("bake", 1, RefKind.DATASET, sections=("split",), inputs=("flour", "eggs"))
RECIPE = Recipe(name="shop", owner="ada")
DAY = day_interval("2011-01-04", "UTC")


def ref(content: bytes, **numbers) -> Ref:
    return Ref(
        kind=RefKind.PARTITION,
        uri=f"memory://store/shop/partitions/{content!r}",
        digest=digest_bytes(content),
        numbers=numbers,
    )


INPUTS = {"flour": (ref(b"a"), ref(b"b")), "eggs": (ref(b"c"),)}
KEY = stage_key(SPEC, RECIPE, DAY, INPUTS)


def with_section(name: str, **fields) -> Recipe:
    return RECIPE.model_copy(update={name: getattr(RECIPE, name).model_copy(update=fields)})


class TestKeys:
    @pytest.mark.parametrize(
        "call",
        [
            (replace(SPEC, name="boil"), RECIPE, DAY, INPUTS),
            (replace(SPEC, version=2), RECIPE, DAY, INPUTS),
            (replace(SPEC, sections=("split", "training")), RECIPE, DAY, INPUTS),
            (SPEC, RECIPE.model_copy(update={"name": "other"}), DAY, INPUTS),
            (SPEC, with_section("split", salt="other"), DAY, INPUTS),
            (SPEC, RECIPE, day_interval("2011-01-05", "UTC"), INPUTS),
            (SPEC, RECIPE, day_interval("2011-01-04", "Asia/Shanghai"), INPUTS),
            (SPEC, RECIPE, DAY, {**INPUTS, "eggs": (ref(b"d"),)}),
            (SPEC, RECIPE, DAY, {**INPUTS, "eggs": ()}),
            (SPEC, RECIPE, DAY, {**INPUTS, "flour": INPUTS["flour"][::-1]}),
        ],
        ids="name version sections recipe section interval timezone input missing order".split(),
    )
    def test_every_ingredient_changes_the_key(self, call):
        assert stage_key(*call) != KEY

    @pytest.mark.parametrize(
        "call",
        [
            (SPEC, with_section("training", epochs=9), DAY, INPUTS),
            (SPEC, RECIPE.model_copy(update={"owner": "eve", "description": "new"}), DAY, INPUTS),
            (replace(SPEC, heavy=True, gang=True), RECIPE, DAY, INPUTS),
            (SPEC, RECIPE, DAY, dict(reversed(INPUTS.items()))),
            (SPEC, RECIPE, DAY, {**INPUTS, "eggs": (ref(b"c", rows=3),)}),
        ],
        ids="other-section owner way-of-running order-of-names numbers".split(),
    )
    def test_nothing_else_changes_the_key(self, call):
        assert stage_key(*call) == KEY


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def runner(store, tmp_path):
    return StageRunner(ArtifactStore(store, tmp_path / "cache"), FakeClock(), tmp_path / "scratch")


class Baker:
    """A stage function that counts how often it ran."""

    def __init__(self, reusable: bool = True) -> None:
        self.runs, self.reusable = 0, reusable

    def __call__(self, context):
        self.runs += 1
        (context.output / "cake").write_text(f"cake {self.runs}")
        return StageOutput(numbers={"slices": 8}, reusable=self.reusable)


def bake(runner, baker, **options):
    return runner.run(SPEC, baker, RECIPE, DAY, INPUTS, **options)


def manifests(store) -> list[str]:
    return [key for key in store.list("") if key.endswith("/manifest.json")]


def test_a_stage_runs_once_for_its_key(runner):
    baker = Baker()
    assert bake(runner, baker) == bake(runner, baker)
    assert baker.runs == 1


def test_the_manifest_tells_where_the_result_came_from(runner, store, tmp_path):
    artifacts = ArtifactStore(store, tmp_path / "cache")
    manifest = artifacts.manifest(bake(runner, Baker()))
    assert (manifest.stage, manifest.stage_version, manifest.key) == ("bake", 1, KEY)
    assert manifest.inputs == INPUTS
    assert manifest.numbers == {"slices": 8}
    assert [entry.path for entry in manifest.files] == ["cake", "recipe.json"]


def test_the_resolved_recipe_lies_beside_the_result(runner, store, tmp_path):
    folder = ArtifactStore(store, tmp_path / "cache").fetch(bake(runner, Baker()))
    assert Recipe.model_validate_json((folder / "recipe.json").read_text()) == RECIPE


def test_fresh_recomputes_and_says_why(runner, store, tmp_path):
    baker = Baker()
    old, new = bake(runner, baker), bake(runner, baker, fresh="the oven was cold")
    assert (baker.runs, old == new) == (2, False)
    assert ArtifactStore(store, tmp_path / "cache").manifest(new).fresh_reason == "the oven was cold"
    assert bake(runner, baker) == new


def test_an_inconclusive_result_is_published_but_not_reused(runner):
    unsure = Baker(reusable=False)
    first = bake(runner, unsure)
    assert runner.find(SPEC, RECIPE, DAY, INPUTS) is None
    sure = Baker()
    second = bake(runner, sure)
    assert (unsure.runs, sure.runs) == (1, 1)
    assert runner.find(SPEC, RECIPE, DAY, INPUTS) == second != first


def test_a_stage_that_fails_publishes_nothing(runner, store, tmp_path):
    def burn(context):
        (context.output / "half").write_text("a cake")
        raise BadData("the flour is mouldy")

    with pytest.raises(BadData):
        bake(runner, burn)
    assert store.list("") == []
    assert list((tmp_path / "scratch").rglob("half")) == []


def test_a_half_written_output_is_invisible_and_the_next_run_succeeds(runner, store):
    baker = Baker()
    store.capacity = 10
    with pytest.raises(StoreFull):
        bake(runner, baker)
    assert runner.find(SPEC, RECIPE, DAY, INPUTS) is None
    store.capacity = None
    assert bake(runner, baker) == runner.find(SPEC, RECIPE, DAY, INPUTS)


def test_the_same_stage_run_twice_at_once_ends_with_one_manifest(runner, store):
    together = threading.Barrier(2)
    baker = Baker()

    def slow(context):
        together.wait()
        return baker(context)

    with ThreadPoolExecutor(2) as pool:
        refs = list(pool.map(lambda _: bake(runner, slow), range(2)))
    assert refs[0] == refs[1]
    assert baker.runs == 2
    assert len(manifests(store)) == 1


def test_silent_ranks_of_a_gang_run_and_publish_nothing(runner, store):
    baker = Baker()
    assert bake(runner, baker, publish=False) is None
    assert (baker.runs, manifests(store)) == (1, [])


def test_no_rank_of_a_gang_runs_when_the_result_is_there(runner):
    baker = Baker()
    bake(runner, baker)
    assert bake(runner, baker, publish=False) is None
    assert baker.runs == 1


@pytest.mark.parametrize("inputs", [{"flour": INPUTS["flour"]}, {**INPUTS, "salt": ()}, {}])
def test_other_inputs_than_the_stages_own_are_refused(runner, inputs):
    baker = Baker()
    with pytest.raises(PermanentError, match="other inputs"):
        runner.run(SPEC, baker, RECIPE, DAY, inputs)
    assert baker.runs == 0


def test_an_input_that_must_be_one_is_not_two(runner):
    with pytest.raises(PermanentError, match="one reference"):
        bake(runner, lambda context: context.one("flour"))


REFUSING = replace(SPEC, refused=RefKind.REFUSAL, optional=("salt",))


def refuse(context):
    (context.output / "mould").write_text("green")
    error = BadData("the flour is mouldy", expected="flour", seen="mould", action="buy flour")
    return StageOutput(numbers={"spots": 3}, refused=error)


def test_what_is_found_of_a_refused_input_is_kept_once_and_the_error_says_so(runner, store, tmp_path):
    for _ in range(2):
        with pytest.raises(BadData, match=r"mouldy\. Expected flour, seen mould\. .*found is kept\. Do: buy flour"):
            runner.run(REFUSING, refuse, RECIPE, DAY, INPUTS)
    artifacts = ArtifactStore(store, tmp_path / "cache")
    ref, manifest = artifacts.find("shop", RefKind.REFUSAL, KEY)
    assert (manifest.kind, manifest.numbers, manifest.inputs) == (RefKind.REFUSAL, {"spots": 3}, INPUTS)
    assert (artifacts.fetch(ref) / "mould").read_text() == "green"
    assert len(store.list("shop/refusals/")) == 4  # a file, the recipe, and the manifest under both its names
    assert runner.find(REFUSING, RECIPE, DAY, INPUTS) is None


def test_a_refusal_that_cannot_be_kept_is_told_all_the_same(runner, store):
    store.capacity = 10
    with pytest.raises(BadData, match=r"mouldy.*could not be kept: shop/refusals/.* was not stored"):
        runner.run(REFUSING, refuse, RECIPE, DAY, INPUTS)
    assert manifests(store) == []


def test_an_optional_input_may_be_left_out_and_is_part_of_the_key_when_it_is_there(runner):
    baker = Baker()
    plain = runner.run(REFUSING, baker, RECIPE, DAY, INPUTS)
    salted = runner.run(REFUSING, baker, RECIPE, DAY, {**INPUTS, "salt": (ref(b"s"),)})
    assert (baker.runs, plain == salted) == (2, False)
    assert stage_key(REFUSING, RECIPE, DAY, INPUTS) == KEY
