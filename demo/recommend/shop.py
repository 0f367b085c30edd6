"""Four days of a generated shop that end yesterday; on the third, acts are joined to the wrong shoppers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random

from demo.recommend.deliveries import Event, to_wrong_shoppers, with_views
from demo.shop import Shop
from recflow.config.recipe_loader import load_recipe
from recflow.config.sections.data import SplitSection
from recflow.data.sample.catalogue import make_goods
from recflow.data.split import split_of

TEMPLATE = Path(__file__).with_name("recommendation.yaml")
SEED = 7
CLICKED, VIEWED = "{click: 1, cart: 2, purchase: 3}", "{view: 1, click: 1, cart: 2, purchase: 3}"
_SHUFFLED_DAY, _TEASERS = 3, 6


@dataclass(frozen=True)
class RecommendShop(Shop):
    """A shop whose pages tell what came into view, beside what was clicked."""

    line = "recommendation"
    number_of_days = 4

    def recipe_text(self, *, changed: bool = False) -> str:
        """The change is to learn from what came into view as well: many more acts, and cheap ones."""
        weights = VIEWED if changed else CLICKED
        return TEMPLATE.read_text(encoding="utf-8").format(first_day=self.today, weights=weights)

    def check(self) -> None:
        """The shop is always generated."""

    @property
    def spoilt_days(self) -> Sequence[date]:
        """The one whose acts are joined to the wrong shoppers."""
        return [self.days[_SHUFFLED_DAY - 1]]

    def write_events(self, *, spoilt: bool) -> str:
        """On the spoilt day the acts of shoppers who judge stay with them, so that the gate can tell."""
        from recflow.data.sample.shop import SampleShop, write_shop

        split = load_recipe(self.recipe_file).split
        write_shop(SampleShop(days=self.number_of_days, seed=SEED, first_day=self.days[0]), self.home / "shop")
        events, teasers = 0, _teasers()
        for day in self.days:
            path = self.home / "shop" / "events" / f"{day}.jsonl"
            generated = list(map(json.loads, path.read_text(encoding="utf-8").splitlines()))
            told = with_views(generated, teasers, f"{SEED}-{day}")
            if spoilt and day in self.spoilt_days:
                told = to_wrong_shoppers(told, _those_who_teach(told, split), f"{SEED}-{day}")
            path.write_text("".join(f"{json.dumps(event)}\n" for event in told), encoding="utf-8")
            events += len(told)
        return f"a generated shop: {events} events in {self.number_of_days} days, with the faults that real feeds have"


def _teasers() -> list[str]:
    """A few items of the first day, of any shelf."""
    goods = [good.item_id for good in make_goods(SEED) if good.since == 0]
    return Random(f"teasers-{SEED}").sample(goods, _TEASERS)


def _those_who_teach(events: Sequence[Event], split: SplitSection) -> frozenset[str]:
    users = {event["user_key"] for event in events}
    return frozenset(user for user in users if split_of(user, split) != "test")
