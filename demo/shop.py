"""Four days of events that end yesterday: a generated shop, or judged pairs of the user's own, spoilt on day 3."""

import shutil
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from recflow.config.recipe import Recipe
from recflow.config.recipe_loader import load_recipe

TEMPLATE = Path(__file__).with_name("search_relevance.yaml")
FAULT = Path(__file__).with_name("reversing.py")
DAYS = 4
SHUFFLED_DAY = 3


@dataclass(frozen=True)
class Shop:
    """Where the demo's events and recipe are, and which days it plays."""

    home: Path
    data: Path | None
    today: date

    @property
    def days(self) -> list[date]:
        """The four days, yesterday last."""
        return [self.today - timedelta(days=back) for back in range(DAYS, 0, -1)]

    @property
    def recipes(self) -> Path:
        """The folder of the demo's one recipe."""
        return self.home / "recipes"

    def write_recipe(self, *, faulty: bool = False) -> Recipe:
        """Write the recipe as an engineer would change it; Airflow and the gateway read it anew."""
        path = self.recipes / "search_relevance.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(FAULT, path.parent)
        text = TEMPLATE.read_text(encoding="utf-8").format(
            first_day=self.today.isoformat(), source=self._source(), post_processing=FAULT.name if faulty else ""
        )
        path.write_text(text, encoding="utf-8")
        return load_recipe(path)

    def check(self) -> None:
        """BadConfiguration or BadData when the user's data cannot be played with."""
        if self.data is not None:
            from recflow.data.sample.shuffle import read_pairs

            read_pairs(self.data)

    def open(self) -> str:
        """Make the events of the days, labels of day 3 on the wrong items; a sentence that says what they are."""
        recipe = self.write_recipe()
        shuffled = self.days[SHUFFLED_DAY - 1]
        if self.data is None:
            return self._generate(shuffled)
        from recflow.data.sample.shuffle import shuffle_grades

        changed = shuffle_grades(self.data, self.home / "shop", shuffled, recipe.data.source, recipe.split)
        return f"judged pairs of {self.data}, spread over four days by a hash; {changed} grades of day 3 changed places"

    def _generate(self, shuffled: date) -> str:
        from recflow.data.sample.shop import SampleShop, write_shop

        shop = SampleShop(days=DAYS, first_day=self.days[0], shuffled_days=frozenset({shuffled}))
        written = write_shop(shop, self.home / "shop")
        return f"a generated shop: {sum(written.values())} events in four days, twelve kinds of fault planted"

    def _source(self) -> str:
        if self.data is None:
            return "{adapter: shop, path: shop}"
        return f"{{adapter: crowdflower, path: shop, days: {DAYS}, first_day: {self.days[0]}}}"
