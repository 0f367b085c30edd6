"""Five days of events that end yesterday: a generated shop, or judged pairs of the user's own, with two spoilt days."""

import shutil
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from demo.sold_places import SPARED_ITEMS
from recflow.config.recipe import Recipe
from recflow.config.recipe_loader import load_recipe, parse_recipe
from recflow.config.sections.data import LabelSection
from recflow.data.sample.behaviour import ETA

if TYPE_CHECKING:
    from recflow.data.sample.spread import JudgedQueries

RECIPE_FILE = "search_relevance.yaml"
TEMPLATE = Path(__file__).with_name(RECIPE_FILE)
FAULT = Path(__file__).with_name("sold_places.py")
DAYS = 5
SHUFFLED_DAY, REVERSED_DAY = 3, 4


@dataclass(frozen=True)
class Shop:
    """Where the demo's events and recipe are, and which days it plays."""

    home: Path
    data: Path | None
    today: date

    @property
    def days(self) -> list[date]:
        """The five days, yesterday last."""
        return [self.today - timedelta(days=back) for back in range(DAYS, 0, -1)]

    @property
    def recipes(self) -> Path:
        """The folder of the demo's one recipe."""
        return self.home / "recipes"

    def write_recipe(self, *, faulty: bool = False) -> Recipe:
        """Write the recipe as an engineer would change it; Airflow and the gateway read it anew."""
        path = self.recipes / RECIPE_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(FAULT, path.parent)
        path.write_text(self._recipe_text(FAULT.name if faulty else ""), encoding="utf-8")
        return load_recipe(path)

    def _recipe_text(self, post_processing: str = "") -> str:
        source, eta = "{adapter: shop, path: shop}", ETA
        if self.data is not None:
            source = f"{{adapter: crowdflower, path: shop, days: {DAYS}, first_day: {self.days[0]}}}"
            eta = LabelSection().position_bias_eta
        text = TEMPLATE.read_text(encoding="utf-8")
        return text.format(first_day=self.today, source=source, eta=eta, post_processing=post_processing)

    def check(self) -> None:
        """BadConfiguration or BadData when the user's data cannot be played with, or is too thin for the story.

        Every day needs as many queries as the offline gate asks for, held out and for training, each with two grades
        and a list that is long enough for the planted fault: shadow asks for fewer.
        """
        if self.data is None:
            return
        recipe = parse_recipe(self._recipe_text(), RECIPE_FILE)
        _judged(self.data).refuse_thin(DAYS, recipe.split, recipe.offline_gate.least)

    def open(self) -> str:
        """Make the events of the days, outcomes of days 3 and 4 on the wrong items; a sentence that says what they are.

        On day 3 queries that are held out stay clean, on day 4 they do not.
        """
        self.write_recipe()
        return self._write(spoilt=True)

    def mend(self) -> list[date]:
        """Deliver the spoilt days anew, outcomes on the right items; the days."""
        self._write(spoilt=False)
        return [self.days[SHUFFLED_DAY - 1], self.days[REVERSED_DAY - 1]]

    def _write(self, *, spoilt: bool) -> str:
        shuffled, turned = ([self.days[day - 1]] if spoilt else [] for day in (SHUFFLED_DAY, REVERSED_DAY))
        recipe, folder = load_recipe(self.recipes / RECIPE_FILE), self.home / "shop"
        if self.data is None:
            from recflow.data.sample.shop import SampleShop, write_shop

            shop = SampleShop(
                days=DAYS, first_day=self.days[0], split=recipe.split,
                shuffled_days=frozenset(shuffled), reversed_days=frozenset(turned),
            )  # fmt: skip
            events = sum(write_shop(shop, folder).values())
            return f"a generated shop: {events} events in five days, twelve kinds of fault planted"
        from recflow.data.sample.shuffle import shuffle_grades

        rows = _judged(self.data).spread(folder, DAYS)
        for day in shuffled + turned:
            shuffle_grades(folder, folder, day, recipe.data.source, recipe.split, held_out=day in turned)
        return f"judged pairs of {self.data}: {rows} rows, each query with its products on two of five days"


def _judged(folder: Path) -> "JudgedQueries":
    """The queries with lists that the planted fault touches."""
    from recflow.data.sample.spread import JudgedQueries

    return JudgedQueries.read(folder, products=SPARED_ITEMS + 1)
