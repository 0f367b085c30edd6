"""Tasks by name: what is installed, and what becomes of lines whose task is not, or cannot be imported."""

import pytest

from fakes.toy_task import TASK, installed
from recflow.config.recipe_loader import check_recipe, load_recipe
from recflow.config.settings import Settings
from recflow.errors import BadConfiguration
from recflow.tasks.registry import find_task
from recflow.wiring import Services, standstill_of
from recflow.wiring.gateway import build_gateway

TOY = "name: toy_line\nowner: tests\ntask: toy\n"


@pytest.fixture
def install(tmp_path, monkeypatch):
    def install(place="fakes.toy_task:TASK"):
        monkeypatch.syspath_prepend(installed(tmp_path / "site", place=place))

    return install


@pytest.fixture
def services(tmp_path):
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    (recipes / "toy_line.yaml").write_text(TOY)
    (recipes / "shop.yaml").write_text("name: shop\nowner: tests\n")
    return Services(Settings(home=tmp_path / "home", recipes=recipes))


def test_the_built_in_task_is_found_by_its_name():
    assert find_task("relevance").name == "relevance"


def test_a_task_of_an_installed_distribution_is_found_by_its_name(install):
    install()
    assert find_task("toy") is TASK


def test_a_recipe_of_a_task_that_is_not_installed_is_refused_with_its_line_and_what_is_installed():
    recipe, mistakes = check_recipe(TOY, "toy_line.yaml")
    assert recipe is None
    assert mistakes == ["line 3: task: Value error, toy is not installed here; installed: recommend, relevance, none"]


def test_a_recipe_of_a_task_that_is_installed_is_right(install):
    install()
    recipe, mistakes = check_recipe(TOY, "toy_line.yaml")
    assert (recipe.task, mistakes) == ("toy", [])


@pytest.mark.parametrize(
    ("place", "seen"),
    [("no_such_module:TASK", "ModuleNotFoundError"), ("fakes.toy_task:ABSENT", "AttributeError"), ("json:dumps", "<")],
)
def test_a_plugin_that_cannot_be_imported_is_told_with_the_reason(install, place, seen):
    install(place)
    with pytest.raises(BadConfiguration, match="task toy cannot be loaded") as refusal:
        find_task("toy")
    assert refusal.value.seen.startswith(seen)


def test_lines_of_a_broken_plugin_stand_still_with_the_reason_and_the_others_run(install, services):
    install("no_such_module:TASK")
    assert "task toy cannot be loaded" in standstill_of(services, services.recipe("toy_line"))
    assert standstill_of(services, services.recipe("shop")) == ""
    with pytest.raises(BadConfiguration, match="task toy cannot be loaded"):
        services.model_line("toy_line")


def test_a_gateway_serves_the_other_lines_and_says_which_one_it_does_not(install, services):
    install("no_such_module:TASK")
    with pytest.warns(UserWarning, match="toy_line is not served: task toy cannot be loaded"):
        gateway = build_gateway(services).state.gateway
    assert list(gateway.lines) == ["shop"]
    assert list(gateway._options.unserved) == ["toy_line"]


def test_a_recipe_file_is_read_without_loading_its_task(install, services):
    install("no_such_module:TASK")
    assert load_recipe(services.settings.recipes / "toy_line.yaml").task == "toy"
