"""The recipe: one model line's whole contract, typed, complete and frozen."""

from datetime import date
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from recflow.artifacts.digests import digest_json
from recflow.artifacts.frozen import Frozen
from recflow.artifacts.plans import Plan
from recflow.config.sections.compression import CompressionSection
from recflow.config.sections.data import DataSection, LabelSection, SplitSection
from recflow.config.sections.gate import OfflineGateSection, OnlineGateSection
from recflow.config.sections.outcomes import SERVING_METRICS, OutcomesSection
from recflow.config.sections.serving import PackagingSection, RetentionSection, ServingSection, WatchSection
from recflow.config.sections.training import TrainingSection


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
    online_gate: OnlineGateSection = OnlineGateSection()
    rollout: Plan = Plan()
    serving: ServingSection = ServingSection()
    watch: WatchSection = WatchSection()
    retention: RetentionSection = RetentionSection()

    @model_validator(mode="after")
    def _judged_by_known_metrics(self) -> Self:
        made = [metric.name for metric in self.outcomes.metrics]
        if self.online_gate.success_metric not in made:
            raise ValueError(
                f"online_gate.success_metric: {self.online_gate.success_metric} is none of {', '.join(made)}"
            )
        for rule in self.online_gate.guardrails:
            if rule.metric not in (*made, *SERVING_METRICS):
                known = ", ".join((*made, *SERVING_METRICS))
                raise ValueError(f"online_gate.guardrails: {rule.metric} is none of {known}")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of the resolved recipe."""
        return digest_json(self.model_dump(mode="json"))
