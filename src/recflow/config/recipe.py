"""The recipe: one model line's whole contract, typed, complete and frozen."""

import re
from datetime import date
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, SerializeAsAny, ValidationInfo, field_validator, model_validator

from recflow.artifacts.digests import digest_json
from recflow.artifacts.frozen import Frozen
from recflow.artifacts.plans import Plan
from recflow.config.sections.compression import CompressionSection
from recflow.config.sections.data import DataSection, LabelledSection, SplitSection
from recflow.config.sections.gate import JudgedSection, OnlineGateSection
from recflow.config.sections.outcomes import SERVING_METRICS, OutcomeKind, OutcomesSection
from recflow.config.sections.serving import PackagingSection, RetentionSection, ServingSection, WatchSection
from recflow.config.sections.training import TrainedSection
from recflow.config.tasks import BUILT_IN, CUSTOMARY, NO_TASK, UNNAMED, known_task, task_sections
from recflow.config.zones import known_zone

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
_DAILY = re.compile(r"([0-5]?\d)\s+([01]?\d|2[0-3])\s+\*\s+\*\s+\*")
OF_A_MODEL = (
    "outcomes", "labels", "split", "training", "compression", "packaging", "offline_gate", "online_gate", "rollout",
    "serving", "watch",
)  # fmt: skip
OF_THE_TASK = ("labels", "training", "offline_gate")
NAME = r"^[a-z][a-z0-9_]{1,40}$"
SMALLEST_CANARY = 0.1  # percent; ten of the ten thousand buckets


def _once_a_day(cron: str) -> str:
    if cron in {"@daily", "@midnight"} or _DAILY.fullmatch(cron.strip()):
        return cron
    raise ValueError(
        f"{cron}: a run reads the day before it, so one that does not start once every day leaves days unread or reads"
        " them before they have ended; write minute and hour, and a star for the rest: 0 2 * * *"
    )


class Closed(Frozen):
    """Days without events, from `first` through `last` (itself alone when there is none)."""

    first: date
    last: date | None = None
    reason: str = "closed"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last is not None and self.last < self.first:
            raise ValueError(f"last: {self.last} is before {self.first}")
        return self


class ScheduleSection(Frozen):
    """When the line runs, once a day, in the shop's own time zone, and on which days there is nothing to read.

    A day that is closed is skipped; a day that is not and has no events is a failure.
    """

    cron: Annotated[str, AfterValidator(_once_a_day)] = "0 2 * * *"
    timezone: Annotated[str, AfterValidator(known_zone)] = "UTC"
    first_day: date = date(2011, 1, 1)
    max_job_hours: float = Field(
        default=6.0,
        gt=0,
        le=168,
        description="Hours that a stage may take; a training goes on from its saved state when its task is cleared.",
    )
    lookback_days: int = Field(
        default=7,
        ge=0,
        le=365,
        description="Days before the run's own whose source is looked at again; what was delivered anew is validated"
        " anew. 0: none.",
    )
    closed_weekdays: tuple[Weekday, ...] = Field(default=(), max_length=6)
    closed: tuple[Closed, ...] = Field(default=(), description="Holidays and other days without events.")

    def closed_on(self, day: date) -> str:
        """Why there are no events on a day; empty when there should be some."""
        weekday = WEEKDAYS[day.weekday()]
        if weekday in self.closed_weekdays:
            return f"closed on every {weekday.capitalize()}"
        spans = (span for span in self.closed if span.first <= day <= (span.last or span.first))
        return next((f"{day} is no day with events: {span.reason}" for span in spans), "")


class Recipe(Frozen):
    """One model line, or a line of data alone. Every section has defaults; a recipe file states what differs."""

    name: str = Field(pattern=NAME)
    task: Annotated[str, AfterValidator(known_task)] = Field(
        default=UNNAMED,
        description="What is learnt from the data: relevance, or what a plugin (entry point group `recflow.tasks`)"
        " brings; none: its days are checked and kept.",
        examples=[*BUILT_IN, NO_TASK],
    )
    owner: str
    description: str = ""
    tags: tuple[str, ...] = ()
    schedule: ScheduleSection = ScheduleSection()
    data: DataSection = DataSection()
    outcomes: OutcomesSection = OutcomesSection()
    labels: SerializeAsAny[LabelledSection] = Field(default=CUSTOMARY.labels(), validate_default=True)
    split: SplitSection = SplitSection()
    training: SerializeAsAny[TrainedSection] = Field(default=CUSTOMARY.training(), validate_default=True)
    compression: CompressionSection = CompressionSection()
    packaging: PackagingSection = PackagingSection()
    offline_gate: SerializeAsAny[JudgedSection] = Field(default=CUSTOMARY.offline_gate(), validate_default=True)
    online_gate: OnlineGateSection = Field(default=OnlineGateSection(), validate_default=True)
    rollout: Plan = Plan()
    serving: ServingSection = ServingSection()
    watch: WatchSection = WatchSection()
    retention: RetentionSection = RetentionSection()

    @field_validator(*OF_THE_TASK, mode="before")
    @classmethod
    def _as_the_task_says(cls, given: Any, info: ValidationInfo) -> Frozen:
        """The section as the task's own model; one that was made by its defaults becomes the task's defaults."""
        kind: type[Frozen] = getattr(task_sections(info.data.get("task", "")), str(info.field_name))
        if isinstance(given, kind) or not isinstance(given, Frozen):
            return kind.model_validate(given)
        if given == type(given)():
            return kind()
        raise ValueError(f"these are options of another task: {kind.__name__} is expected")

    @field_validator(*OF_A_MODEL)
    @classmethod
    def _read_by_somebody(cls, section: Frozen, info: ValidationInfo) -> Frozen:
        if info.data.get("task") == NO_TASK and section != type(section)():
            raise ValueError("a line of data alone (task: none) has no model: nobody would read this")
        return section

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
    def has_model(self) -> bool:
        """Whether something is trained, released and served."""
        return self.task != NO_TASK

    @property
    def acts(self) -> tuple[OutcomeKind, ...]:
        """The kinds of acts on answers; none where nothing is served."""
        return self.outcomes.kinds if self.has_model else ()

    @property
    def digest(self) -> str:
        """SHA-256 of the resolved recipe."""
        return digest_json(self.model_dump(mode="json"))
