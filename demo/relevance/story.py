"""A first model, the next, and three that are stopped, each by another gate."""

from dataclasses import dataclass

from demo.relevance.shop import RelevanceShop
from demo.relevance.sold_places import SPARED_REQUESTS
from demo.story import RELEASE_TIMEOUT_S, Story, Told
from recflow.artifacts.ledger import ReleaseState

S = ReleaseState
USERS = 6000
GIVEN_UP = "outcomes of the day are joined to the wrong items"


@dataclass(frozen=True)
class RelevanceStory(Story[RelevanceShop]):
    """Five days. Simulated shoppers search day 1's held-out judged queries."""

    def play(self) -> list[Told]:
        """All five days, in order; PermanentError as soon as one does not end as it must."""
        first, second, third, fourth, fifth = self.shop.days
        one = self.day("day 1", first, "a first model, judged against the permanent floors", S.STABLE)
        shoppers = self._shoppers(one)
        two = self.day(
            "day 2", second, "the next day: simulated shoppers must show that it is no worse", S.STABLE, shoppers
        )
        three = self.day("day 3", third, "labels are on the wrong items: the offline gate must refuse it", None)
        deceiving = "held-out labels are wrong too, and deceive the offline gate: shadow must hold it"
        four = self.day("day 4", fourth, deceiving, S.HELD, shoppers)
        self.give_up(four, GIVEN_UP)
        self.deliver_anew()
        self.shop.write_recipe(changed=True)
        planted = f"a change with a fault: after {SPARED_REQUESTS} requests it sells the first two places of long lists"
        five = self.day("day 5", fifth, planted, S.ROLLED_BACK, shoppers)
        self.shop.write_recipe()
        return [one, two, three, four, five]

    def _shoppers(self, judged: Told) -> list[str]:
        folder = self.services.artifacts.fetch(judged.refs["build_dataset"])
        command = ["recflow.cli.main", "replay", "--recipe", self.shop.line, "--dataset", str(folder)]
        return [*command, "--users", str(USERS), "--seconds", f"{RELEASE_TIMEOUT_S:.0f}", "--concurrency", "4"]
