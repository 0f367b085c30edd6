"""The recipe: one model line's whole contract, typed, complete and frozen."""

from datetime import date
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from recflow.artifacts.digests import digest_json
from recflow.artifacts.frozen import Frozen
from recflow.artifacts.plans import Plan
from recflow.config.sections.compression import CompressionSection
from recflow.config.sections.data import DataSection, LabelSection, SplitSection
from recflow.config.sections.gate import OfflineGateSection, OnlineGateSection
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

    @property
    def digest(self) -> str:
        """SHA-256 of the resolved recipe."""
        return digest_json(self.model_dump(mode="json"))
