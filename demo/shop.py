"""What every story plays on: days that end yesterday, and the one recipe of its line."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import ClassVar

from recflow.config.recipe import Recipe
from recflow.config.recipe_loader import load_recipe


@dataclass(frozen=True)
class Shop(ABC):
    """Where a story's events and recipe are, and which days it plays."""

    line: ClassVar[str]
    number_of_days: ClassVar[int]

    home: Path
    today: date

    @property
    def days(self) -> list[date]:
        """The days, yesterday last."""
        return [self.today - timedelta(days=back) for back in range(self.number_of_days, 0, -1)]

    @property
    def recipes(self) -> Path:
        """The folder of the story's one recipe."""
        return self.home / "recipes"

    @property
    def recipe_file(self) -> Path:
        """The recipe as it is now."""
        return self.recipes / f"{self.line}.yaml"

    def write_recipe(self, *, changed: bool = False) -> Recipe:
        """Write the recipe, or the change of it that the story tells of; Airflow and the gateway read it anew."""
        self.recipes.mkdir(parents=True, exist_ok=True)
        self.recipe_file.write_text(self.recipe_text(changed=changed), encoding="utf-8")
        return load_recipe(self.recipe_file)

    @abstractmethod
    def recipe_text(self, *, changed: bool = False) -> str:
        """The recipe, or the change of it."""

    @abstractmethod
    def check(self) -> None:
        """BadConfiguration or BadData when the story cannot be played on what the user brought."""

    def open(self) -> str:
        """Write the recipe and the events of the days, spoilt ones among them; a sentence that says what they are."""
        self.write_recipe()
        return self.write_events(spoilt=True)

    def mend(self) -> Sequence[date]:
        """Deliver the spoilt days anew, as they should have been; the days."""
        self.write_events(spoilt=False)
        return self.spoilt_days

    @property
    @abstractmethod
    def spoilt_days(self) -> Sequence[date]:
        """The days whose events are wrong until they are mended."""

    @abstractmethod
    def write_events(self, *, spoilt: bool) -> str:
        """Write the events of all days; a sentence that says what they are."""
