"""How a day is compared with the days before it."""

from typing import Literal

from pydantic import Field

from recflow.artifacts.frozen import Frozen

Aspect = Literal[
    "volume", "kinds", "columns", "freshness", "uniqueness", "referential", "quality", "distribution", "balance"
]  # fmt: skip
Severity = Literal["blocking", "warning", "off"]


class Severities(Frozen):
    """What a day that is unlike the others means, by what differs.

    `blocking`: what is plainly broken refuses the day, and what is only unusual is a warning; `warning`: both are
    warnings; `off`: not judged.
    """

    volume: Severity = Field(default="blocking", description="Rows; broken: max_rows_ratio times more or fewer.")
    kinds: Severity = Field(
        default="blocking", description="Rows of each kind for each search, so outcome rates; broken: one is gone."
    )
    columns: Severity = Field(default="blocking", description="In how many rows a column has a value; broken: in none.")
    freshness: Severity = Field(default="warning", description="When the first and last event of the day happened.")
    uniqueness: Severity = Field(
        default="warning", description="Rows told again, different users, queries and items, the commonest one's share."
    )
    referential: Severity = Field(default="warning", description="Acts on what was not shown, items nobody knows.")
    quality: Severity = Field(default="warning", description="The share of rows that breaks each other check.")
    distribution: Severity = Field(
        default="warning", description="Hours, positions, prices and values, languages, categories, ratings, sellers."
    )
    balance: Severity = Field(default="warning", description="The grades of judgements.")

    def of(self, aspect: Aspect) -> Severity:
        """The severity of one aspect."""
        severity: Severity = getattr(self, aspect)
        return severity


class RecentSection(Frozen):
    """The recent past that a day is compared with, and how strictly (`data/recent.py`)."""

    days: int = Field(default=28, ge=1, le=366, description="Days before this one that count: four of each weekday.")
    min_days: int = Field(
        default=7, ge=3, le=366, description="With fewer of them nothing is judged but a day of many times the rows."
    )
    sensitivity: float = Field(
        default=1.0, ge=0.1, le=5, description="2: half the distance is unusual; false alarms come with it."
    )
    max_rows_ratio: float = Field(
        default=5.0,
        gt=1,
        le=1000,
        description="Rows against the median of the last days, or of the same weekdays; ten times is a broken feed.",
    )
    severity: Severities = Severities()
