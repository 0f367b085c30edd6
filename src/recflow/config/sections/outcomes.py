"""What shoppers may do with an item, and the metrics that are made of it: named by the line, not by recflow."""

from typing import Literal, Self

from pydantic import Field, model_validator

from recflow.artifacts.events import OutcomeName
from recflow.artifacts.frozen import Frozen

# What the rows of a day may be beside outcomes.
_ROWS = ("judgement", "impression")


class OutcomeKind(Frozen):
    """One kind of act. An act counts once for an item of an answer, however often it is reported."""

    name: OutcomeName
    strength: float = Field(
        default=1.0, ge=0, le=3, description="What it teaches, 3 the most; the strongest act counts. 0: nothing."
    )
    max_value: float = Field(
        default=0.0,
        ge=0,
        le=1e12,
        description="The largest value of one act, in the line's currency; beyond it is a mistake. 0: carries none.",
    )
    max_repeats: int = Field(
        default=10, ge=1, le=1000, description="Acts on one item of one answer, each under its own id, that add values."
    )


class OutcomeMetric(Frozen):
    """Acts of one kind over searches or users: `count` counts items acted on, `value` adds what the acts were worth."""

    name: OutcomeName
    kind: OutcomeName
    of: Literal["count", "value"] = "count"
    per: Literal["search", "user"] = "search"
    better: Literal["more", "less"] = Field(default="more", description="less: returns, complaints.")


class OutcomesSection(Frozen):
    """The outcomes that the gateway accepts, that labels are made of, and that experiments are judged by."""

    kinds: tuple[OutcomeKind, ...] = Field(
        default=(
            OutcomeKind(name="click", strength=1),
            OutcomeKind(name="cart", strength=2),
            OutcomeKind(name="purchase", strength=3, max_value=100_000),
        ),
        min_length=1,
    )
    metrics: tuple[OutcomeMetric, ...] = (
        OutcomeMetric(name="ctr", kind="click"),
        OutcomeMetric(name="cart_rate", kind="cart"),
        OutcomeMetric(name="purchase_rate", kind="purchase"),
        OutcomeMetric(name="revenue_per_user", kind="purchase", of="value", per="user"),
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        kinds = {kind.name: kind for kind in self.kinds}
        if taken := [name for name in kinds if name in _ROWS]:
            raise ValueError(f"no outcome can be called {taken[0]}: a day's other rows are")
        for what, names in (("kinds", [kind.name for kind in self.kinds]), ("metrics", list(self._metrics()))):
            if len(set(names)) < len(names):
                raise ValueError(f"two {what} share a name: {', '.join(names)}")
        for metric in self.metrics:
            if metric.kind not in kinds:
                raise ValueError(f"metric {metric.name} is made of {metric.kind}, which is none of {', '.join(kinds)}")
            if metric.of == "value" and kinds[metric.kind].max_value == 0:
                raise ValueError(f"metric {metric.name} adds values, but {metric.kind} carries none: set its max_value")
        return self

    def _metrics(self) -> list[str]:
        return [*SERVING_METRICS, *(metric.name for metric in self.metrics)]

    def kind(self, name: str) -> OutcomeKind | None:
        """The kind called `name`; None when the line does not name it."""
        return next((kind for kind in self.kinds if kind.name == name), None)

    def metric(self, name: str) -> OutcomeMetric | None:
        """The metric called `name`; None when it is not made of outcomes."""
        return next((metric for metric in self.metrics if metric.name == name), None)


# Metrics of every line, made of exposures alone.
SERVING_METRICS = ("fallback_rate", "p95_ms")
