"""Estimates how likely a shopper looks at each position from a log in which ranks were changed.

A high item is clicked more because it is seen and because it fits; only where one item stood for one query at several
positions, and not because it fitted more or less just then, are the two told apart. Such are swaps of the first item
with another (Joachims, Swaminathan and Schnabel 2017), random orders, and two rankers that share the searches
(intervention harvesting: Agarwal, Zaitsev, Wang, Li, Najork and Joachims 2019). Searches are compared within a query,
an item and a day, so that a ranker that is trained overnight on the clicks of the day before is no intervention.
"""

from recflow.config.sections.data import LabelSection
from recflow.config.sections.outcomes import OutcomesSection
from recflow.domain.examination import DEEPEST, GROUPS, Examination, cannot_tell, fit_examination
from recflow.engine import Engine, Table
from recflow.engine.expressions import bucket, real, when
from recflow.tasks.relevance.labels import showings

_PAIR = ("query_id", "item_id", "day")


def estimate_examination(
    engine: Engine, events: Table, section: LabelSection, outcomes: OutcomesSection
) -> Examination:
    """The examination curve of some days' rows (`labels.read_events`), or why they cannot tell it."""
    shown = showings(events, section, outcomes)
    shown = engine.keep(shown.filter(shown.position > 0, shown.position <= DEEPEST))
    total = engine.count(shown)
    if total == 0:
        return cannot_tell(0, "no search says at which position it showed an item")
    return fit_examination(total, engine.fetch(_compared(shown)).to_pydict())


def _compared(shown: Table) -> Table:
    """group, position and the sums of the ratio over pairs that were shown at the position and first on one day."""
    counted = shown.mutate(clicked=when(shown.strength > 0, 1, 0)).group_by([*_PAIR, "position"])
    counted = counted.aggregate(times=lambda same: same.count(), clicks=lambda same: same.clicked.sum())
    first = counted.filter(counted.position == 1).select(*_PAIR, first_times="times", first_clicks="clicks")
    both = counted.filter(counted.position > 1).inner_join(first, list(_PAIR))
    both = both.select("query_id", "position", "times", "clicks", "first_times", "first_clicks")
    share = 1 / real(both.times + both.first_times)
    return both.group_by(group=bucket("examination", both.query_id) % GROUPS, position=both.position).aggregate(
        here=(both.clicks * both.first_times * share).sum(),
        first=(both.first_clicks * both.times * share).sum(),
        clicks=both.clicks.sum(),
        first_clicks=both.first_clicks.sum(),
    )
