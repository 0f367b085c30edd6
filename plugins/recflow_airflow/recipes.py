"""The recipes that DAG files are made from; read at parse time, so nothing heavy may be imported here."""

import os
from collections.abc import Iterator
from pathlib import Path

from recflow.config.recipe import Recipe
from recflow.config.recipe_loader import load_recipe, recipe_paths

DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "recipes"


def all_recipes() -> Iterator[Recipe]:
    """Every recipe of this installation. A broken one fails its DAG file with the recipe's own message."""
    folder = Path(os.environ.get("RECFLOW_RECIPES", DEFAULT_FOLDER))
    for path in recipe_paths(folder).values():
        yield load_recipe(path)
