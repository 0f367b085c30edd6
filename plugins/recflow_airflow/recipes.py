"""The recipes that DAG files are made from; read at parse time, so nothing heavy may be imported here."""

import os
from pathlib import Path

from recflow.config.recipe import Recipe
from recflow.config.recipe_loader import sound_recipes

DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "recipes"


def all_recipes() -> list[Recipe]:
    """Every sound recipe of this installation. A broken one has no DAGs, and Airflow shows its message as a warning.

    BadConfiguration, which fails the DAG file, when none is sound.
    """
    return sound_recipes(Path(os.environ.get("RECFLOW_RECIPES", DEFAULT_FOLDER)))


def model_lines() -> list[Recipe]:
    """Those of `all_recipes` that train, release and serve a model."""
    return [recipe for recipe in all_recipes() if recipe.has_model]


def data_lines() -> list[Recipe]:
    """Those of `all_recipes` whose days are checked and kept, and nothing more."""
    return [recipe for recipe in all_recipes() if not recipe.has_model]
