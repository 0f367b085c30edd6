"""A first model, the next, and two that are stopped: one by the offline gate, one by what shoppers do."""

from dataclasses import dataclass

from demo.recommend.shop import RecommendShop
from demo.story import Story, Told
from recflow.artifacts.ledger import ReleaseState

S = ReleaseState
USERS = 6000


@dataclass(frozen=True)
class RecommendStory(Story[RecommendShop]):
    """Four days. Simulated shoppers have a wish each, and click by the generated shop's own grades for it."""

    def play(self) -> list[Told]:
        """All four days, in order; PermanentError as soon as one does not end as it must."""
        first, second, third, fourth = self.shop.days
        shoppers = ["demo.recommend.shoppers", self.stack.gateway_url, self.shop.line, str(USERS)]
        one = self.day("day 1", first, "a first model, judged against what is popular and what goes together", S.STABLE)
        warm = "the next day, a warm start: simulated shoppers must show that it is no worse"
        two = self.day("day 2", second, warm, S.STABLE, shoppers)
        three = self.day("day 3", third, "acts are joined to the wrong shoppers: the offline gate must refuse it", None)
        self.deliver_anew()
        self.shop.write_recipe(changed=True)
        cheap = (
            "a change that learns from what came into view too, and foretells it: shoppers meet teasers that all saw"
        )
        four = self.day("day 4", fourth, cheap, S.ROLLED_BACK, shoppers)
        self.shop.write_recipe()
        return [one, two, three, four]
