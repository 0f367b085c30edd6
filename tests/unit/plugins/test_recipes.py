import pytest

from recflow.errors import BadConfiguration
from recflow_airflow.recipes import all_recipes

SOUND, BROKEN = "name: shop_search\nowner: search\n", "name: ads\nonwer: typo\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RECFLOW_RECIPES", str(tmp_path))
    return tmp_path


def test_a_broken_recipe_is_said_and_the_others_keep_their_dags(folder):
    (folder / "ads.yaml").write_text(BROKEN)
    (folder / "shop_search.yaml").write_text(SOUND)
    with pytest.warns(UserWarning, match=r"left out: recipe ads\.yaml.*onwer"):
        assert [recipe.name for recipe in all_recipes()] == ["shop_search"]


def test_when_every_recipe_is_broken_the_dag_files_say_so(folder):
    (folder / "ads.yaml").write_text(BROKEN)
    with pytest.raises(BadConfiguration, match="onwer"):
        all_recipes()


def test_an_installation_without_recipes_has_no_dags(folder):
    assert all_recipes() == []
