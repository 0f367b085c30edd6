"""The plan of a release: how long, how many, how strict. Frozen into the release's first ledger entry.

Bounds here must let pass whatever a ledger may hold already; what a recipe may not ask for is refused in `recipe.py`.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from recflow.artifacts.frozen import Frozen

_YEAR_S = 365 * 86_400  # what waits longer waits for ever


class ShadowPlan(Frozen):
    """Mirrored requests whose answers nobody sees. The stage ends when both minimums are reached."""

    min_seconds: float = Field(
        default=600, ge=0, le=_YEAR_S, description="Of minutes with traffic, to meet more than one pattern of it."
    )
    min_requests: int = Field(default=200, ge=0, le=1_000_000_000, description="Fewer answers say nothing about p95.")
    min_tau: float = Field(
        default=0.3,
        ge=-1,
        le=1,
        description="Kendall's tau of a refresh's orders with stable's, on average; below it a person is asked. A"
        " night's training leaves about 0.7, a reversed order has -1; -1 asks nobody.",
    )
    min_overlap: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Of the first ten items with stable's, in lists of more than ten; below it a person is asked.",
    )


class CanaryStep(Frozen):
    """A share of users for the candidate, and an equal share as its control."""

    percent: float = Field(
        gt=0, le=50, description="In percent: 5 is one user in twenty. More than 50 leaves no room for a control."
    )
    bake_seconds: float = Field(
        default=1800, ge=0, le=_YEAR_S, description="Of minutes with traffic: half an hour shows leaks."
    )
    min_requests: int = Field(
        default=200, ge=1, le=1_000_000_000, description="Requests in each arm before a reading counts."
    )


class JudgingPlan(Frozen):
    """The 50/50 stage that the online gate reads, one stage by itself, never pooled with the ramp."""

    max_judging_hours: float = Field(
        default=72, gt=0, le=8760, description="Then INCONCLUSIVE. Hours in which nobody came do not count."
    )
    on_inconclusive: Literal["keep_stable", "promote", "hold"] = Field(
        default="keep_stable", description="Without proof the model that serves today goes on serving."
    )
    look_every_seconds: float = Field(
        default=300, gt=0, le=_YEAR_S, description="The sequence allows a look at any time."
    )


class HealthLimits(Frozen):
    """What a live candidate must hold while it bakes, and a served version for ever."""

    max_error_rate: float = Field(default=0.01, ge=0, le=1, description="Share of requests answered by fallback.")
    max_p95_ms: float = Field(default=250, gt=0, le=600_000, description="Below the gateway's deadline of 300 ms.")
    max_p95_ratio: float = Field(default=1.5, gt=1, le=10_000, description="Against the equal-size control.")
    no_data_grace_seconds: float = Field(
        default=900, gt=0, le=_YEAR_S, description="Of minutes with traffic, beyond the planned ones; then it is held."
    )


class InfraLimits(Frozen):
    """What the server itself must show before any shopper sees the candidate."""

    max_p95_ms: float = Field(default=200, gt=0, le=600_000, description="One request of 20 items, one client.")
    max_memory_mb: float = Field(default=1024, gt=0, le=10_000_000, description="Growth of the server by this version.")
    load_timeout_s: float = Field(default=120, gt=0, le=86_400, description="Load and warm-up together.")
    batch_sizes: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = Field(
        default=(1, 5, 20), min_length=1, description="Items per golden request."
    )
    atol: float = Field(default=0.05, gt=0, le=100, description="int8 moves with the processor's kind; fp32 by 1e-4.")


class Blackout(Frozen):
    """A time [start, end) in which no release moves forward; rollbacks go on."""

    start: AwareDatetime
    end: AwareDatetime
    reason: str


class Plan(Frozen):
    """The whole way of a candidate to stable; `blackouts` and `change_tries` are read live from the recipe."""

    kind: Literal["refresh", "change"] = Field(
        default="refresh",
        description="Not for a recipe: follows from what differs from the serving version. A refresh must be no worse,"
        " a change better.",
    )
    infra: InfraLimits = InfraLimits()
    approval: bool = Field(default=False, description="Wait for a person after the infra check.")
    approve_first: bool = Field(default=True, description="The first release has no rival: a person looks at it.")
    shadow: ShadowPlan = ShadowPlan()
    canary: tuple[CanaryStep, ...] = (CanaryStep(percent=5),)
    judging: JudgingPlan = JudgingPlan()
    health: HealthLimits = HealthLimits()
    change_tries: int = Field(
        default=2, ge=1, le=365, description="Nights on which a refused change is tried; then a person must say."
    )
    hold_grace_seconds: float = Field(
        default=86_400, gt=0, le=_YEAR_S, description="A held release rolls back after a day alone."
    )
    blackouts: tuple[Blackout, ...] = Field(default=(), description="Sales days and holidays of the shop.")
