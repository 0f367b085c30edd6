"""What a candidate must show offline before it may be released."""

from typing import Literal

from pydantic import Field

from recflow.artifacts.frozen import Frozen

Metric = Literal["ndcg@10", "mrr", "recall@10", "f1"]


class ValueRule(Frozen):
    """A metric's own bound, inclusive."""

    metric: Metric
    minimum: float
    slice: str = ""


class ChangeRule(Frozen):
    """A paired bound by query: candidate minus baseline must not be below -max_drop at 95 % confidence."""

    metric: Metric
    max_drop: float = Field(gt=0, description="A positive non-inferiority margin.")
    slice: str = ""


class SliceRule(Frozen):
    """A named part of the test rows. Missing: FAIL. Too small: NOT_EVALUATED, blocking only when required."""

    name: Literal["head", "torso", "tail", "with_description", "without_description"]
    min_queries: int = Field(default=20, ge=2)
    required: bool = False


class OfflineGateSection(Frozen):
    """Value rules, change rules and the permanent floors (BM25, untrained base)."""

    values: tuple[ValueRule, ...] = ()
    changes: tuple[ChangeRule, ...] = (ChangeRule(metric="ndcg@10", max_drop=0.03),)
    floor_margin: float = Field(
        default=0.03, gt=0, description="How far below a floor the bound may lie: as fine as the queries can tell."
    )
    slices: tuple[SliceRule, ...] = ()
    min_queries: int = Field(default=20, ge=2, description="Fewer test queries: INCONCLUSIVE.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    bootstrap_samples: int = Field(default=2000, ge=200)
    seed: int = Field(default=20110101, description="The same evidence always gives the same verdict.")


class Guardrail(Frozen):
    """A metric that must not get worse by more than a margin, relative to control."""

    metric: Literal["ctr", "cart_rate", "purchase_rate", "revenue_per_user", "fallback_rate", "p95_ms"]
    max_relative_drop: float = Field(default=0.1, gt=0, description="For rates of harm (fallback, p95): rise.")


class OnlineGateSection(Frozen):
    """The sequential A/B verdict, unit user, judged by the assigned arm."""

    success_metric: Literal["ctr", "cart_rate", "purchase_rate", "revenue_per_user"] = "ctr"
    max_relative_drop: float = Field(default=0.05, gt=0, description="Non-inferiority margin of a refresh.")
    guardrails: tuple[Guardrail, ...] = ()
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    planned_users: int = Field(default=5000, ge=10, description="N* of the sequence: where it is tightest.")
    min_events_per_arm: int = Field(default=50, ge=1, description="Below it the sequence's cover is not kept.")
    outcome_window_seconds: float = Field(
        default=1800, ge=0, description="A user counts once this has passed since the first exposure."
    )
    winsorise_quantile: float = Field(default=0.99, gt=0.5, le=1, description="Revenue is heavy-tailed.")
    ratio_stop_p: float = Field(default=0.001, gt=0, lt=1, description="Sample-ratio mismatch below it: HOLD.")
    ratio_warn_p: float = Field(default=0.01, gt=0, lt=1)
    max_users_in_both: float = Field(default=0.01, ge=0, lt=1)
