"""The shared suite of the ModelServer seam: a subclass gives the fixture `server`."""

import uuid

import pytest

from fakes.relevance import item, score
from fakes.tiny_model import write_package
from recflow.errors import ModelWontLoad, ServerUnavailable

OLD, NEW = "20110101-aaaaaaaa", "20110102-bbbbbbbb"
ITEMS = [item("1", "red shoe"), item("2", "红色 hat", "warm"), item("3", "")]


class ModelServerSuite:
    @pytest.fixture
    def recipe(self):
        return f"shop_{uuid.uuid4().hex[:8]}"

    @pytest.fixture
    def served(self, server, recipe, tmp_path):
        server.load(recipe, OLD, write_package(tmp_path / "old"))
        yield server
        for version in server.loaded(recipe):
            server.unload(recipe, version)

    def test_a_loaded_version_scores_every_item_in_order(self, served, recipe):
        assert score(served, recipe, OLD, "red shoe", ITEMS, timeout_s=5) == pytest.approx((1.0, 0.0, 0.0))

    def test_no_items_have_no_scores(self, served, recipe):
        assert score(served, recipe, OLD, "red shoe", [], timeout_s=5) == ()

    def test_two_versions_answer_side_by_side(self, served, recipe, tmp_path):
        served.load(recipe, NEW, write_package(tmp_path / "new", weight=0.5))
        assert served.loaded(recipe) == (OLD, NEW)
        scores = [score(served, recipe, version, "red", ITEMS, timeout_s=5)[0] for version in (OLD, NEW)]
        assert scores == pytest.approx([1.0, 0.5])

    def test_loading_what_is_loaded_is_fine(self, served, recipe, tmp_path):
        served.load(recipe, OLD, tmp_path / "old")
        assert served.loaded(recipe) == (OLD,)

    def test_a_package_that_is_refused_leaves_the_other_version_answering(self, served, recipe, tmp_path):
        broken = write_package(tmp_path / "new")
        (broken / "1" / "model.py").unlink()
        with pytest.raises(ModelWontLoad):
            served.load(recipe, NEW, broken)
        assert served.loaded(recipe) == (OLD,)
        assert score(served, recipe, OLD, "red", ITEMS, timeout_s=5)[0] == pytest.approx(1.0)

    def test_an_unloaded_version_is_unavailable_and_may_be_unloaded_again(self, served, recipe):
        served.unload(recipe, OLD)
        served.unload(recipe, OLD)
        assert served.loaded(recipe) == ()
        with pytest.raises(ServerUnavailable):
            score(served, recipe, OLD, "red", ITEMS, timeout_s=5)

    def test_a_version_that_was_unloaded_can_come_back(self, served, recipe, tmp_path):
        served.unload(recipe, OLD)
        served.load(recipe, OLD, tmp_path / "old")
        assert score(served, recipe, OLD, "red", ITEMS, timeout_s=5)[0] == pytest.approx(1.0)

    def test_versions_of_another_recipe_are_not_listed(self, served, recipe):
        assert served.loaded(recipe[:-1]) == ()

    def test_memory_grows_with_a_version(self, served, recipe, tmp_path):
        before = served.memory_mb()
        served.load(recipe, NEW, write_package(tmp_path / "new"))
        assert served.memory_mb() > before > 0
