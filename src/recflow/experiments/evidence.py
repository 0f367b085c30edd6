"""What an experiment has shown: one entry a user, in the order of first exposures, and who was left out and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from recflow.artifacts.events import Arm
from recflow.config.sections.gate import OnlineSlice
from recflow.config.sections.outcomes import OutcomesSection

Totals = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Design:
    """What is read for one experiment: all of it is fixed before the first look.

    `window` is how long a user's acts count after the first exposure; `look_back` how far before `start` a user's own
    acts are read as covariates (zero: none). Whoever searches more often than `max_searches_per_minute` is a program.
    `slow_factor` times the control's p95 is slow; for that p95, units with more searches than `winsorise_quantile` of
    the control's have no more.
    """

    recipe: str
    experiment: str
    start: datetime
    window: timedelta
    outcomes: OutcomesSection = field(default_factory=OutcomesSection)
    look_back: timedelta = timedelta(0)
    max_searches_per_minute: int = 20
    slow_factor: float = 1.1
    winsorise_quantile: float = 0.99
    slices: tuple[OnlineSlice, ...] = ()


@dataclass(frozen=True)
class HeavyUnit:
    """One of the units with the most searches of an experiment, and its share of its arm's searches."""

    user_key: str
    arm: Arm
    searches: int
    share: float
    program: bool


@dataclass(frozen=True)
class Evidence:
    """Users whose window has closed, by arrays of one length in the order of their first exposures.

    `totals` has "searches", "fallbacks", "slow" and, for each outcome kind, "count:<kind>" (items acted on) and
    "value:<kind>"; all inside the user's window. `before` has the same names, without "fallbacks" and "slow", from the
    `look_back` before the start: nothing after it, which the candidate may have shaped. `slices` has for each slice the
    totals of its searches (a slice of users: zeros for everybody else).
    `assigned` counts everybody seen in one arm only, `in_both` those seen in both; `programs` those who search like
    one, by arm, who are left out as well. `unmatched` counts outcomes that belong to no answer, by reason, beside the
    `matched` ones; `collisions` ids that stood for several acts.
    """

    treated: NDArray[np.bool_]
    totals: Totals
    before: Totals = field(default_factory=dict)
    slices: Mapping[str, Totals] = field(default_factory=dict)
    control_p95_ms: float | None = None
    assigned: Mapping[Arm, int] = field(default_factory=dict)
    searches: Mapping[Arm, int] = field(default_factory=dict)
    in_both: int = 0
    programs: Mapping[Arm, int] = field(default_factory=dict)
    heaviest: tuple[HeavyUnit, ...] = ()
    matched: int = 0
    unmatched: Mapping[str, int] = field(default_factory=dict)
    collisions: int = 0

    @property
    def users(self) -> int:
        """Users of both arms."""
        return len(self.treated)

    def first(self, users: int) -> "Evidence":
        """The same as it was when this many users had entered: what a planned look is about."""
        cut = slice(0, users)
        return replace(
            self,
            treated=self.treated[cut],
            totals=_cut(self.totals, cut),
            before=_cut(self.before, cut),
            slices={name: _cut(totals, cut) for name, totals in self.slices.items()},
        )


def _cut(totals: Totals, part: slice) -> Totals:
    return {name: values[part] for name, values in totals.items()}
