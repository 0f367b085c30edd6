"""Recipes from YAML: all mistakes at once, each with its line and the nearest known key."""

import difflib
import warnings
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from recflow.config.recipe import OF_THE_TASK, Recipe
from recflow.config.tasks import UNNAMED, task_sections
from recflow.errors import BadConfiguration


def load_recipe(path: Path) -> Recipe:
    """The recipe of a YAML file; BadConfiguration lists every mistake as `line N: key: what`."""
    recipe = parse_recipe(read_recipe_text(path), path.name)
    if path.suffix == ".yaml" and recipe.name != path.stem:
        raise BadConfiguration(f"recipe {path.name} has another name", expected=path.stem, seen=recipe.name)
    return _fill_post_processing(recipe, path)


def read_recipe_text(path: Path) -> str:
    """The text of a recipe's file; BadConfiguration when there is none or it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfiguration(
            f"recipe {path.name} cannot be read", expected="a UTF-8 file", seen=str(error)
        ) from error


def parse_recipe(text: str, source: str) -> Recipe:
    """The recipe of a YAML text; `source` names it in errors."""
    recipe, mistakes = check_recipe(text, source)
    if recipe is None:
        count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise BadConfiguration(f"recipe {source} has {count}", expected="none", seen="; ".join(mistakes))
    return recipe


def check_recipe(text: str, source: str) -> tuple[Recipe | None, list[str]]:
    """The recipe of a YAML text, or None and every mistake in it in the order of lines."""
    tree = _tree(text, source)
    try:
        return Recipe.model_validate(_plain(tree)), []
    except ValidationError as error:
        return None, sorted((_explain(tree, detail) for detail in error.errors()), key=_line_number)


def line_of(text: str, location: tuple[Any, ...]) -> int:
    """The line of a key in a recipe's sound text, or of its nearest section that is written there."""
    return _line(_tree(text, "recipe"), location)


def recipe_paths(folder: Path) -> dict[str, Path]:
    """Every recipe file of a folder by its name, in name order."""
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def sound_recipes(folder: Path) -> list[Recipe]:
    """Every recipe of a folder that can be read, and a warning for every other.

    BadConfiguration, the first one's, when there are recipe files and none is sound.
    """
    recipes: list[Recipe] = []
    mistakes: list[BadConfiguration] = []
    for path in recipe_paths(folder).values():
        try:
            recipes.append(load_recipe(path))
        except BadConfiguration as error:
            mistakes.append(error)
    if mistakes and not recipes:
        raise mistakes[0]
    for mistake in mistakes:
        warnings.warn(f"a recipe is left out: {mistake}", stacklevel=2)
    return recipes


def find_recipe(folder: Path, name: str) -> Recipe:
    """The recipe called `name`; BadConfiguration names the nearest one when there is none."""
    paths = recipe_paths(folder)
    if name not in paths:
        near = difflib.get_close_matches(name, paths, n=1)
        raise BadConfiguration(
            f"there is no recipe {name} in {folder}",
            expected=", ".join(paths) or "at least one recipe file",
            seen=name,
            action=f"did you mean {near[0]}?" if near else "",
        )
    return load_recipe(paths[name])


def _fill_post_processing(recipe: Recipe, path: Path) -> Recipe:
    """The recipe with the text of its post-processing file, which is found from the recipe's folder."""
    section = recipe.packaging
    if not section.post_processing or section.post_processing_code:
        return recipe
    try:
        code = (path.parent / section.post_processing).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfiguration(
            f"recipe {path.name} names a post-processing file that cannot be read",
            expected=f"a UTF-8 file {section.post_processing} seen from the recipe's folder",
            seen=str(error),
        ) from error
    return recipe.model_copy(update={"packaging": section.model_copy(update={"post_processing_code": code})})


def _tree(text: str, source: str) -> CommentedMap:
    try:
        tree = YAML().load(StringIO(text))
    except YAMLError as error:
        seen = str(error)
        if isinstance(error, MarkedYAMLError) and error.problem_mark:
            seen = f"line {error.problem_mark.line + 1}: {error.problem}"
        raise BadConfiguration(f"recipe {source} is not YAML", expected="YAML", seen=seen) from error
    if not isinstance(tree, CommentedMap):
        raise BadConfiguration(f"recipe {source} is empty", expected="a mapping of sections", seen=type(tree).__name__)
    return tree


def _plain(node: Any) -> Any:
    if isinstance(node, CommentedMap):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value) for value in node]
    return node


def _explain(tree: CommentedMap, detail: Any) -> str:
    location = tuple(detail["loc"])
    message = str(detail["msg"])
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(
            str(location[-1]), known_keys(location[:-1], str(tree.get("task", UNNAMED))), n=1
        )
        message = "unknown key" + (f", did you mean {near[0]}?" if near else "")
    return f"line {_line(tree, location)}: {'.'.join(map(str, location))}: {message}"


def _line(tree: Any, location: tuple[Any, ...]) -> int:
    line = 1
    node = tree
    for part in location:
        if isinstance(node, CommentedMap) and part in node:
            line = node.lc.key(part)[0] + 1
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line = node.lc.item(part)[0] + 1
        else:
            return line
        node = node[part]
    return line


def _line_number(mistake: str) -> int:
    return int(mistake.removeprefix("line ").split(":", 1)[0])


def known_keys(location: tuple[Any, ...], task: str) -> list[str]:
    """The keys that a recipe of a task knows at a location of its tree."""
    models: list[type[BaseModel]] = [Recipe]
    for depth, part in enumerate(location):
        if depth == 0 and part in OF_THE_TASK:
            models = [getattr(task_sections(task), part)]
        elif isinstance(part, str):
            models = [found for model in models for found in _models_of(model, part)]
    return [name for model in models for name in model.model_fields]


def _models_of(model: type[BaseModel], name: str) -> Iterator[type[BaseModel]]:
    field = model.model_fields.get(name)
    stack: list[Any] = [field.annotation] if field else []
    while stack:
        annotation = stack.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        stack.extend(getattr(annotation, "__args__", ()))
