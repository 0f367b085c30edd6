"""Five days of events that end yesterday: a generated shop, or judged pairs of the user's own, with two spoilt days."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from demo.relevance.sold_places import SPARED_ITEMS
from demo.shop import Shop
from recflow.config.recipe import Recipe
from recflow.config.recipe_loader import load_recipe, parse_recipe
from recflow.config.sections.data import LabelSection
from recflow.data.sample.behaviour import ETA

if TYPE_CHECKING:
    from recflow.data.sample.spread import JudgedQueries

TEMPLATE = Path(__file__).with_name("search_relevance.yaml")
FAULT = Path(__file__).with_name("sold_places.py")
SHUFFLED_DAY, REVERSED_DAY = 3, 4


@dataclass(frozen=True)
class RelevanceShop(Shop):
    """`data`: the folder of judged pairs; None: a generated shop."""

    line = "search_relevance"
    number_of_days = 5

    data: Path | None = None

    def write_recipe(self, *, changed: bool = False) -> Recipe:
        """Write the recipe, and the planted fault beside it."""
        self.recipes.mkdir(parents=True, exist_ok=True)
        shutil.copy(FAULT, self.recipes)
        return super().write_recipe(changed=changed)

    def recipe_text(self, *, changed: bool = False) -> str:
        """The change is the planted fault."""
        source, eta = "{adapter: shop, path: shop}", ETA
        if self.data is not None:
            source = f"{{adapter: crowdflower, path: shop, days: {self.number_of_days}, first_day: {self.days[0]}}}"
            eta = LabelSection().position_bias_eta
        text = TEMPLATE.read_text(encoding="utf-8")
        post_processing = FAULT.name if changed else ""
        return text.format(first_day=self.today, source=source, eta=eta, post_processing=post_processing)

    def check(self) -> None:
        """BadConfiguration or BadData when the user's data cannot be played with, or is too thin for the story.

        Every day needs as many queries as the offline gate asks for, held out and for training, each with two grades
        and a list that is long enough for the planted fault: shadow asks for fewer.
        """
        if self.data is None:
            return
        recipe = parse_recipe(self.recipe_text(), self.recipe_file.name)
        _judged(self.data).refuse_thin(self.number_of_days, recipe.split, recipe.offline_gate.least)

    @property
    def spoilt_days(self) -> Sequence[date]:
        """Those whose outcomes are on the wrong items: of queries that train, then of all."""
        return [self.days[SHUFFLED_DAY - 1], self.days[REVERSED_DAY - 1]]

    def write_events(self, *, spoilt: bool) -> str:
        """On the first spoilt day queries that are held out stay clean, on the second they do not."""
        shuffled, turned = ([day] if spoilt else [] for day in self.spoilt_days)
        recipe, folder = load_recipe(self.recipe_file), self.home / "shop"
        if self.data is None:
            from recflow.data.sample.shop import SampleShop, write_shop

            shop = SampleShop(
                days=self.number_of_days, first_day=self.days[0], split=recipe.split,
                shuffled_days=frozenset(shuffled), reversed_days=frozenset(turned),
            )  # fmt: skip
            events = sum(write_shop(shop, folder).values())
            return f"a generated shop: {events} events in five days, twelve kinds of fault planted"
        from recflow.data.sample.shuffle import shuffle_grades

        rows = _judged(self.data).spread(folder, self.number_of_days)
        for day in shuffled + turned:
            shuffle_grades(folder, folder, day, recipe.data.source, recipe.split, held_out=day in turned)
        return f"judged pairs of {self.data}: {rows} rows, each query with its products on two of five days"


def _judged(folder: Path) -> "JudgedQueries":
    """The queries with lists that the planted fault touches."""
    from recflow.data.sample.spread import JudgedQueries

    return JudgedQueries.read(folder, products=SPARED_ITEMS + 1)
