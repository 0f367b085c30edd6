"""What a day's events are, what is refused, and how they become a training set."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from recflow.artifacts.events import OutcomeName
from recflow.artifacts.frozen import Frozen
from recflow.config.sections.cleaning import CleaningSection
from recflow.config.sections.recent import RecentSection
from recflow.config.sections.sources import Delivered, OfAct, OfItem, SourceSection


class CheckRule(Frozen):
    """One Great Expectations expectation on cleaned rows.

    `blocking` rows go to quarantine with the reason; `warning` rows are counted and kept.
    """

    name: str
    expectation: str = Field(description="Great Expectations name, as expect_column_values_to_not_be_null.")
    kwargs: dict[str, Any] = Field(default_factory=dict)
    severity: Literal["blocking", "warning"] = "blocking"


class DataSection(Frozen):
    """From events to a validated partition."""

    source: SourceSection = SourceSection()
    cleaning: CleaningSection = CleaningSection()
    checks: tuple[CheckRule, ...] = ()
    max_quarantined_share: float = Field(
        default=0.2, ge=0, lt=1, description="More bad rows than this is a broken feed, not bad luck: BadData."
    )
    other_kinds: tuple[OutcomeName, ...] = Field(
        default=(),
        description="Kinds of rows that are kept and teach nothing: search, browse, review …; with event_id and at.",
    )
    identity: tuple[Delivered | OfItem | OfAct, ...] = Field(
        default=(),
        description="Columns that name a row: rows that agree in them are one, told again. Empty: rows that agree in"
        " every column, event_id included, so that raters who agree both count.",
    )
    max_duplicate_share: float = Field(default=0.2, ge=0, lt=1, description="30 % rows told again is a replayed feed.")
    recent: RecentSection = RecentSection()
    max_requests_per_minute: int = Field(
        default=20, ge=1, le=10_000, description="Of one user: more is a program, not a person."
    )
    min_rows: int = Field(default=50, ge=1, le=1_000_000_000, description="Fewer rows than this is not a day.")


class NegativesSection(Frozen):
    """Items that nobody labelled, of grade 0, for each training and validation query that has an item above it.

    Drawn from what the training days' catalogue shows; never what those days know for the query, nor what resembles its
    positives: the same title in another spelling, or too close to the best of them by BM25. Those in one batch are
    training's. The seed is the day's.
    """

    random: int = Field(default=0, ge=0, le=1000, description="Items a query, each as likely as any other.")
    popular: int = Field(default=0, ge=0, le=1000, description="Items a query, by (acts + 1) ** 0.75.")
    bm25: int = Field(default=0, ge=0, le=1000, description="Items a query: those whose titles fit best by BM25.")
    weight: float = Field(default=0.5, gt=0, le=1, description="How much one teaches; a judged pair has 1.")
    max_share_of_positive: float = Field(
        default=0.95,
        gt=0,
        le=1,
        description="Of the best positive's BM25 score; what lies above it may well be one that nobody has judged.",
    )

    @property
    def wanted(self) -> bool:
        """Whether there are any."""
        return max(self.random, self.popular, self.bm25) > 0


class LabelledSection(Frozen):
    """What is read of any task's section: how long acts on what was shown are waited for.

    `needed` are the columns without which an impression, an act or a judgement teaches nothing.
    """

    needed: ClassVar[tuple[str, ...]] = ("query", "item_id")
    attribution_minutes: int = Field(
        default=30, gt=0, le=10_080, description="Outcomes later than this are not this search's; a week at most."
    )


class LabelSection(LabelledSection):
    """How grades 0 … 3 come from behaviour where no person judged."""

    position_bias_eta: float = Field(
        default=1.0, ge=0, le=5, description="Examination at position k is taken as k**-eta; 0 means no correction."
    )
    min_examined: float = Field(
        default=3.0, gt=0, le=10_000, description="Expected examinations a pair needs before it has a label."
    )
    # A section at its defaults is no part of a key: what was computed before there was one stays good.
    negatives: NegativesSection = Field(
        default=NegativesSection(), exclude_if=lambda section: section == NegativesSection()
    )


class SplitSection(Frozen):
    """Which queries train, stop and judge: by a hash of the query, for ever the same."""

    test_percent: int = Field(default=20, ge=1, le=50, description="Queries that no training ever sees.")
    validation_percent: int = Field(default=10, ge=1, le=30, description="Queries for early stopping.")
    salt: str = Field(default="split-1", description="Changing it invalidates every comparison with the past.")
    evaluation_days: int = Field(
        default=30, ge=1, le=3650, description="Test rows come from this many newest partitions."
    )
    # At its default it is no part of a key, as above.
    history_days: int = Field(
        default=0,
        ge=0,
        le=3650,
        description="Partitions before those under evaluation: what users did before, which task recommend reads.",
        exclude_if=lambda days: days == 0,
    )
    replay_share: float = Field(
        default=0.5, ge=0, le=100, description="Rows from partitions before the parent's, as a share of the new rows."
    )
