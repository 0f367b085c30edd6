"""The recipe: one model line's whole contract, typed, complete and frozen."""

from datetime import date
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from recflow.artifacts.digests import digest_json
from recflow.artifacts.frozen import Frozen
from recflow.artifacts.plans import Plan
from recflow.config.sections.compression import CompressionSection
from recflow.config.sections.data import DataSection, LabelSection, SplitSection
from recflow.config.sections.gate import OfflineGateSection, OnlineGateSection
from recflow.config.sections.outcomes import SERVING_METRICS, OutcomesSection
from recflow.config.sections.serving import PackagingSection, RetentionSection, ServingSection, WatchSection
from recflow.config.sections.training import TrainingSection

SMALLEST_CANARY = 0.1  # percent; ten of the ten thousand buckets


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name} is no time zone; write it as Europe/Berlin") from error
    return name


class ScheduleSection(Frozen):
    """When the line retrains, in the shop's own time zone."""

    cron: str = "0 2 * * *"
    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    first_day: date = date(2011, 1, 1)
    max_job_hours: float = Field(
        default=6.0,
        gt=0,
        le=168,
        description="Hours that a stage may take; a training goes on from its saved state when its task is cleared.",
    )


class Recipe(Frozen):
    """One model line. Every section has defaults with their reasons; a recipe file states what differs."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")
    owner: str
    description: str = ""
    tags: tuple[str, ...] = ()
    schedule: ScheduleSection = ScheduleSection()
    data: DataSection = DataSection()
    outcomes: OutcomesSection = OutcomesSection()
    labels: LabelSection = LabelSection()
    split: SplitSection = SplitSection()
    training: TrainingSection = TrainingSection()
    compression: CompressionSection = CompressionSection()
    packaging: PackagingSection = PackagingSection()
    offline_gate: OfflineGateSection = OfflineGateSection()
    online_gate: OnlineGateSection = Field(default=OnlineGateSection(), validate_default=True)
    rollout: Plan = Plan()
    serving: ServingSection = ServingSection()
    watch: WatchSection = WatchSection()
    retention: RetentionSection = RetentionSection()

    @field_validator("online_gate")
    @classmethod
    def _judged_by_known_metrics(cls, gate: OnlineGateSection, info: ValidationInfo) -> OnlineGateSection:
        outcomes = info.data.get("outcomes", OutcomesSection())
        made = tuple(metric.name for metric in outcomes.metrics)
        for where, name, known in (
            ("success_metric", gate.success_metric, made),
            *(("guardrails", rule.metric, made + SERVING_METRICS) for rule in gate.guardrails),
        ):
            if name not in known:
                raise ValueError(f"{where}: {name} is no metric of this recipe: {', '.join(known)}")
        return gate

    @field_validator("rollout")
    @classmethod
    def _met_by_somebody(cls, plan: Plan) -> Plan:
        for step in plan.canary:
            if step.percent < SMALLEST_CANARY:
                raise ValueError(f"canary.percent: {step.percent:g} % is nobody; percent: 5 is one user in twenty")
        if plan.kind != "refresh":
            raise ValueError("kind: leave it out: what differs from the serving version tells a refresh from a change")
        if plan.health.max_error_rate == 1:
            raise ValueError("health.max_error_rate: 1 lets every request fail; 0.01 is one in a hundred")
        return plan

    @property
    def digest(self) -> str:
        """SHA-256 of the resolved recipe."""
        return digest_json(self.model_dump(mode="json"))
