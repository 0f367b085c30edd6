"""What a candidate must show offline before it may be released."""

from typing import Literal, Self

from pydantic import Field, model_validator

from recflow.artifacts.events import OutcomeName
from recflow.artifacts.frozen import Frozen

Floor = Literal["bm25", "untrained", "popularity"]
CUSTOMARY_FLOORS: tuple[Floor, ...] = ("bm25", "untrained")
Metric = Literal["ndcg@10", "mrr", "recall@10", "f1"]


class MetricRule(Frozen):
    """A bound on a metric, on every test example or on a slice."""

    metric: str
    slice: str = ""


class LimitRule(MetricRule):
    """A metric's own bound, inclusive."""

    @property
    def limit(self) -> float:
        """What a mean must not be worse than."""
        raise NotImplementedError


class MarginRule(MetricRule):
    """A paired bound by unit: at 95 % confidence the candidate must not be worse than the baseline by `max_drop`."""

    max_drop: float = Field(gt=0, lt=1, description="A positive non-inferiority margin; 0.03 is three hundredths.")


class PartRule(Frozen):
    """A named part of the test examples. Missing: FAIL. Too small: NOT_EVALUATED, blocking only when required."""

    name: str
    required: bool = False

    @property
    def least(self) -> int:
        """How many of its units must be able to tell."""
        raise NotImplementedError


class JudgedSection(Frozen):
    """What the gate reads of any task's section; a task adds how many units it needs, and says what may be named."""

    values: tuple[LimitRule, ...] = ()
    changes: tuple[MarginRule, ...] = ()
    floors: tuple[str, ...] = ()
    floor_margin: float = Field(
        default=0.03,
        gt=0,
        lt=1,
        description="How far below a floor the bound may lie: as fine as the test examples can tell.",
    )
    slices: tuple[PartRule, ...] = ()
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    bootstrap_samples: int = Field(default=2000, ge=200, le=100_000)
    seed: int = Field(default=20110101, ge=0, lt=2**32, description="The same evidence always gives the same verdict.")

    @property
    def least(self) -> int:
        """How many test units must be able to tell."""
        raise NotImplementedError


class ValueRule(LimitRule):
    """A metric's own bound, inclusive."""

    metric: Metric
    minimum: float = Field(ge=0, le=1)

    @property
    def limit(self) -> float:
        """The least mean."""
        return self.minimum


class ChangeRule(MarginRule):
    """A paired bound by query: candidate minus baseline must not be below -max_drop at 95 % confidence."""

    metric: Metric


class SliceRule(PartRule):
    """A named part of the test rows. Missing: FAIL. Too small: NOT_EVALUATED, blocking only when required."""

    name: Literal["head", "torso", "tail", "with_description", "without_description"]
    min_queries: int = Field(default=20, ge=2, le=1_000_000)

    @property
    def least(self) -> int:
        """Queries that can tell."""
        return self.min_queries


class OfflineGateSection(JudgedSection):
    """Value rules, change rules and the permanent floors of relevance."""

    values: tuple[ValueRule, ...] = ()
    changes: tuple[ChangeRule, ...] = (ChangeRule(metric="ndcg@10", max_drop=0.03),)
    floors: tuple[Floor, ...] = Field(
        default=CUSTOMARY_FLOORS,
        min_length=1,
        description="Rankers without training: BM25 on titles, the base model's cosine, acts on items. All but the base"
        " model's are fitted on what trains.",
        exclude_if=lambda floors: floors == CUSTOMARY_FLOORS,
    )
    slices: tuple[SliceRule, ...] = ()
    min_queries: int = Field(default=20, ge=2, le=1_000_000, description="Fewer test queries: INCONCLUSIVE.")

    @property
    def least(self) -> int:
        """Queries that can tell."""
        return self.min_queries


class Guardrail(Frozen):
    """A metric that must not get worse by more than a margin, relative to control.

    `shown_to_hold` is judged at every look, at the margin: sure, and slow for rare events. `not_shown_worse` is judged
    once, when the planned users are in, against no difference, at the level at which three margins worse pass in one
    case of twenty; before that look nothing is promoted, and failing it keeps stable. `auto` takes the second where the
    line's own traffic says that the planned users cannot show the margin.
    """

    metric: OutcomeName
    max_relative_drop: float = Field(default=0.1, gt=0, lt=1, description="For rates of harm (fallback, p95): rise.")
    mode: Literal["auto", "shown_to_hold", "not_shown_worse"] = "auto"


class OnlineSlice(Frozen):
    """A part of the searches or of the users, on which the success metric must not be shown to be worse.

    `long_lists` and `short_lists` are split at `items`; `head` queries are those of most users that make up half of the
    searches (a user's repeats are one), `tail` the rest; `returning` users have searched before within
    `covariate_days`.
    """

    name: Literal["long_lists", "short_lists", "head", "tail", "new_users", "returning_users"]
    items: int = Field(default=10, ge=2, le=1000, description="Lists of at least this many items are long.")


class OnlineGateSection(Frozen):
    """The sequential A/B verdict, unit user, judged by the assigned arm, on metrics that `outcomes` names."""

    success_metric: OutcomeName = "ctr"
    max_relative_drop: float = Field(default=0.05, gt=0, lt=1, description="Non-inferiority margin of a refresh.")
    guardrails: tuple[Guardrail, ...] = ()
    slices: tuple[OnlineSlice, ...] = Field(default=(), description="Each can stop a candidate, none promotes one.")
    alpha: float = Field(default=0.05, ge=1e-6, lt=0.5)
    planned_users: int | None = Field(
        default=None,
        ge=10,
        le=1_000_000_000,
        description="Users of both arms at the planned end; None: from the line's own traffic.",
    )
    min_events_per_arm: int = Field(
        default=50, ge=1, le=1_000_000, description="Below it the sequence's cover is not kept."
    )
    harm_users: int = Field(
        default=3200,
        ge=50,
        le=1_000_000_000,
        description="Users at the last of five looks for harm: a tenth fewer clicks is seen by then.",
    )
    outcome_window_seconds: float = Field(
        default=1800, ge=1, le=604_800, description="A user counts once this has passed since the first exposure."
    )
    covariate_days: int = Field(
        default=14, ge=0, le=90, description="How far back a user's own earlier acts explain the later ones; 0: not."
    )
    winsorise_quantile: float = Field(
        default=0.99, gt=0.5, le=1, description="Totals of a user beyond it are cut: no single unit decides."
    )
    max_unmatched_share: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="Of outcomes that belong to no answer: more is told as a fault. Late ones are none.",
    )
    ratio_stop_p: float = Field(default=0.001, gt=0, lt=1, description="Sample-ratio mismatch below it: HOLD.")
    ratio_warn_p: float = Field(default=0.01, gt=0, lt=1)
    max_users_in_both: float = Field(default=0.01, ge=0, lt=1)

    @model_validator(mode="after")
    def _each_rule_once(self) -> Self:
        guarded, slices = [rule.metric for rule in self.guardrails], [part.name for part in self.slices]
        if self.success_metric in guarded:
            raise ValueError(f"guardrails: {self.success_metric} is the success metric, which fails when it is worse")
        for what, names in (("guardrails", guarded), ("slices", slices)):
            if len(set(names)) < len(names):
                raise ValueError(f"{what}: two have one name: {', '.join(names)}")
        if not self.covariate_days and {"new_users", "returning_users"} & set(slices):
            raise ValueError("slices: without covariate_days nobody is known to have searched before")
        return self
