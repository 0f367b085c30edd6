"""The sections of a recipe that recommends: which acts teach, and what a candidate must show."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from recflow.artifacts.events import OutcomeName
from recflow.config.sections.data import LabelledSection
from recflow.config.sections.gate import JudgedSection, LimitRule, MarginRule, PartRule

Metric = Literal["ndcg@10", "recall@10", "mrr@10"]
Floor = Literal["popularity", "item_knn", "untrained"]
Weight = Annotated[float, Field(gt=0, le=1000)]


class RecommendLabels(LabelledSection):
    """Which acts make a user's history, and which items are still to be had."""

    needed: ClassVar[tuple[str, ...]] = ("item_id",)
    weights: dict[OutcomeName, Weight] = Field(
        default={"click": 1.0, "cart": 2.0, "purchase": 3.0},
        min_length=1,
        description="Kinds of acts, of `outcomes` or `data.other_kinds`, and what one weighs. Of a user's acts on one"
        " item in a day the heaviest counts.",
    )
    available_days: int = Field(
        default=30, ge=1, le=3650, description="An item that no row names for longer is no more to be had."
    )


class RecommendLimit(LimitRule):
    """A metric's own bound, inclusive."""

    metric: Metric
    minimum: float = Field(ge=0, le=1)

    @property
    def limit(self) -> float:
        """The least mean."""
        return self.minimum


class RecommendMargin(MarginRule):
    """A paired bound by user: candidate minus baseline must not be below -max_drop at 95 % confidence."""

    metric: Metric


class RecommendPart(PartRule):
    """A named part of the test users. Missing: FAIL. Too small: NOT_EVALUATED, blocking only when required."""

    name: Literal["new_items", "short_histories"]
    min_users: int = Field(default=20, ge=2, le=1_000_000)

    @property
    def least(self) -> int:
        """Users who can tell."""
        return self.min_users


class RecommendGate(JudgedSection):
    """Value rules, change rules and the permanent floors of recommending."""

    values: tuple[RecommendLimit, ...] = ()
    changes: tuple[RecommendMargin, ...] = (RecommendMargin(metric="ndcg@10", max_drop=0.03),)
    floors: tuple[Floor, ...] = Field(
        default=("popularity",),
        min_length=1,
        description="What most turn to, what was turned to beside the items of the history, and items that are called"
        " alike.",
    )
    slices: tuple[RecommendPart, ...] = ()
    min_users: int = Field(default=20, ge=2, le=1_000_000, description="Fewer test users: INCONCLUSIVE.")

    @property
    def least(self) -> int:
        """Users who can tell."""
        return self.min_users
