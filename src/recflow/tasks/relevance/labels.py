"""Labels: a grade 0 … 3 for each query and item, from judgements where there are any, else from behaviour.

**Judgements** of one pair are averaged, because raters who differ are both right to some degree (the set has raters
that disagree on most rows); the weight is 1 / (1 + variance), so that a disputed pair teaches less.

**An act** belongs to a search that showed its item to the same user, from SKEW before it was shown to
`attribution_minutes` after, on whichever day it is logged. Request ids alone do not tell: some start anew each morning.

**A search** is labelled on the day on which that time is over: what is shown at ten to midnight may be
clicked after it, where no row of its own day says so.

**Behaviour** is read under the position-based model (Richardson, Dominowska and Ragno 2007; Craswell et al. 2008): an
item at position k is examined with probability k**-eta, and acted on only if examined. For a pair with impressions i

    examined = sum_i k_i**-eta
    rate     = sum_i strength_i / examined        strength: the kind's in `outcomes`, of the strongest act

which is the clicks-over-expected-clicks estimate (Zhang and Jones 2007) with graded acts, and has the same expectation
as inverse-propensity weighting (Joachims, Swaminathan and Schnabel 2017) at a lower variance. `rate` becomes 0 … 3 by
the thresholds in GRADE_FROM_RATE: in whole grades, because differences below one grade are mostly chance on a day's
clicks. Pairs with fewer than `min_examined` expected examinations have no label; the weight of the others is
examined / (examined + min_examined).
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from recflow.config.sections.data import LabelSection
from recflow.config.sections.outcomes import OutcomesSection
from recflow.domain.matching import SKEW
from recflow.engine import Engine, Table
from recflow.engine.expressions import (
    constant,
    first_of_each,
    float32,
    naive,
    query_id,
    real,
    rounded,
    seconds_after,
    seconds_between,
    when,
)
from recflow.tasks.relevance.rows import LABELLED

_CUSTOMARY = OutcomesSection()

# Rates from which an examined item counts as grade 1, 2, 3: a click in ten examinations, in three, and nearly always.
GRADE_FROM_RATE = (0.10, 0.32, 0.75)

_PAIR = ("query_id", "item_id")
_SEARCH = ("request_id", "user_key", "day")


def read_events(engine: Engine, partitions: Sequence[tuple[str, Path]]) -> Table:
    """The rows of some partitions, given as (day, rows.parquet), with their day and the id of their query."""
    rows = engine.read_each(dict(partitions), "day")
    named = engine.keep(rows.group_by("query").aggregate().mutate(query_id=lambda names: query_id(names.query)))
    return rows.mutate(at=naive(rows["at"])).inner_join(named, "query")


def of_days(events: Table, days: Sequence[str], span: tuple[datetime, datetime], section: LabelSection) -> Table:
    """The rows that label the `days`, which lie within `span`, out of theirs and of those of the days before.

    A judgement is its own day's; a showing is of the day on which the time for acts on it is over.
    """
    own, shown, judged = events.day.isin(list(days)), events.kind == "impression", events.kind == "judgement"
    start, end = span
    wait_s = 60 * section.attribution_minutes
    waits = shown & (seconds_after(end, events["at"]) >= -wait_s)
    waited = ~judged & ~(shown & (seconds_after(start, events["at"]) < -wait_s))
    return events.filter(when(own, ~waits, waited))


def label_pairs(
    engine: Engine, events: Table, section: LabelSection, outcomes: OutcomesSection = _CUSTOMARY
) -> tuple[Table, Table]:
    """Labelled pairs of the rows of some days, and the searches of each query.

    Rows of kinds that `outcomes` does not name teach nothing.
    Columns: query_id, query, item_id, title, description, grade, weight, day; one row a pair. And query_id, searches.
    """
    judged, behaved = _judged(events), _behaved(events, section, outcomes)
    labelled = (
        _pairs(events).left_join(judged, _PAIR).drop(*_right(_PAIR)).left_join(behaved, _PAIR).drop(*_right(_PAIR))
    )
    labelled = labelled.mutate(
        description=labelled.description.fill_null(""),
        grade=float32(labelled.judged_grade.fill_null(labelled.behaved_grade)),
        weight=float32(labelled.judged_weight.fill_null(labelled.behaved_weight)),
    )
    return engine.keep(labelled.filter(labelled.grade.notnull()).select(*LABELLED)), engine.keep(_searches(events))


def _right(names: Sequence[str]) -> list[str]:
    return [f"{name}_right" for name in names]


def _pairs(events: Table) -> Table:
    newest = [events.day.desc(), events.event_id.desc(), events.query, events.title]
    return first_of_each(events, _PAIR, newest).select(*_PAIR, "query", "title", "description", "day")


def _judged(events: Table) -> Table:
    judged = events.filter(events.kind == "judgement")
    return judged.group_by(list(_PAIR)).aggregate(
        judged_grade=rounded(judged.grade.mean()),
        judged_weight=rounded(1 / (judged.grade.var(how="pop") + 1)),
    )


def showings(events: Table, section: LabelSection, outcomes: OutcomesSection) -> Table:
    """Each item that a search showed, once: its highest position, and the strength of its strongest act, 0 for none."""
    shown = events.filter(events.kind == "impression").group_by([*_PAIR, *_SEARCH])
    shown = shown.aggregate(position=lambda same: same.position.min(), shown_at=lambda same: same["at"].min())
    known = shown.left_join(_strongest(events, shown, section, outcomes), [*_PAIR, *_SEARCH])
    return known.select(*_PAIR, *_SEARCH, "position", strength=known.strength.fill_null(0.0))


def _behaved(events: Table, section: LabelSection, outcomes: OutcomesSection) -> Table:
    known = showings(events, section, outcomes)
    sums = known.group_by(list(_PAIR)).aggregate(
        # Sums are rounded: their order, and so their last digits, differ from run to run.
        examined=rounded((real(known.position) ** -section.position_bias_eta).sum()),
        strength=rounded(known.strength.sum()),
    )
    seen = sums.filter(sums.examined >= section.min_examined)
    first, second, third = (when(seen.strength >= rate * seen.examined, 1.0, 0.0) for rate in GRADE_FROM_RATE)
    return seen.select(
        *_PAIR,
        behaved_grade=first + second + third,
        behaved_weight=rounded(seen.examined / (seen.examined + section.min_examined)),
    )


def _strongest(events: Table, shown: Table, section: LabelSection, outcomes: OutcomesSection) -> Table:
    """Of each search and item the strength of its strongest act, where there is any."""
    strength = constant(0.0)
    for kind in outcomes.kinds:
        strength = when(events.kind == kind.name, kind.strength, strength)
    acts = events.filter(events.kind.isin([kind.name for kind in outcomes.kinds]))
    acts = acts.select("request_id", "user_key", "item_id", "kind", acted_at="at", strength=real(strength))
    answered = shown.inner_join(acts, ["request_id", "user_key", "item_id"])
    after_s = seconds_between(answered.shown_at, answered.acted_at)
    in_reach = answered.filter(after_s >= -SKEW.total_seconds(), after_s <= 60 * section.attribution_minutes)
    act = ("request_id", "user_key", "item_id", "kind", "acted_at")
    matched = first_of_each(in_reach, act, [in_reach.shown_at.desc(), in_reach.query_id, in_reach.day])
    return matched.group_by([*_PAIR, *_SEARCH]).aggregate(strength=matched.strength.max())


def _searches(events: Table) -> Table:
    shown = events.filter(events.kind == "impression").group_by(["query_id", *_SEARCH]).aggregate().select("query_id")
    rows = shown.union(events.filter(events.kind == "judgement").select("query_id"))
    return rows.group_by("query_id").aggregate(searches=rows.count())
