"""Negatives: items that nobody labelled for a query, of grade 0, so that a model also learns what nobody would show.

**Random** ones are drawn evenly from the items of the training days; **popular** ones by (acts + 1) ** 0.75, the
exponent of Mikolov et al. 2013, so that a model does not learn that what is popular fits; **BM25-hard** ones are those
whose titles fit best. An item is taken once a query: hard before popular before random.

Some of them would be relevant had anybody judged them. Left out are therefore: every pair that the days know, shown,
acted on or judged; titles that are near duplicates of a positive's; and titles whose BM25 score lies above
`max_share_of_positive` of the best positive's (positive-aware mining by percentage: Moreira et al. 2024, NV-Retriever).

Draws are a walk through a table in which each item has its slots, from a start and by a step that a hash of seed and
query gives; the table's length is a prime, so that a walk meets each slot once and any two steps are independent.
"""

import math
from collections.abc import Sequence
from functools import reduce
from itertools import count as numbers

import pyarrow as pa

from recflow.config.sections.data import NegativesSection
from recflow.engine import Engine, Table, Value
from recflow.engine.expressions import (
    constant,
    copies,
    drawn,
    first_of_each,
    float32,
    near_duplicate,
    nearest_whole,
    real,
    running_total,
)
from recflow.tasks.relevance.rows import LABELLED
from recflow.tasks.relevance.titles import bm25_scores, count_words

KINDS = ("bm25", "popular", "random")
_PAIR = ("query_id", "item_id")
_EXPONENT = 0.75
_SLOTS = 10  # of an item without acts: rounding then moves no item's share by more than a twentieth
_DRAWS = 256


def negatives_of(
    engine: Engine, learned: Table, events: Table, acts: Table, section: NegativesSection, seed: str
) -> Table:
    """Negatives of the queries of `learned` that have an item above grade 0: its columns, and `negative`, the kind.

    `learned` are labelled pairs with their split, `events` the rows of the training days, `acts` those on each item. A
    query gets fewer where there are no more items that may be taken.
    """
    items = _catalogue(engine, events)
    positives = learned.filter(learned.grade > 0)
    queries = engine.keep(
        positives.group_by("query_id").aggregate(query=positives["query"].min(), split=positives.split.min())
    )
    scores = bm25_scores(engine, queries, count_words(engine, items, ["item_id"]))
    allowed = _Allowed(engine, events.select(*_PAIR), positives, items, scores, section.max_share_of_positive)
    chosen = [engine.keep(_hardest(allowed, section.bm25))]
    weighted = items.left_join(acts, "item_id").select("item_id", "acts")
    popular = nearest_whole(_SLOTS * real(weighted.acts.fill_null(0) + 1) ** _EXPONENT)
    for kind, number, slots in (("popular", section.popular, popular), ("random", section.random, constant(1))):
        if not number:
            continue
        pool = engine.keep(weighted.select("item_id", slots=slots))
        candidates = _walk(engine, queries, pool, f"{seed}:{kind}", number)
        for taken in chosen:
            candidates = candidates.anti_join(taken, _PAIR)
        chosen.append(engine.keep(_first(allowed.of(candidates), "draw", number, kind)))
    return _rows(chosen, queries, items, section.weight)


class _Allowed:
    """Which pairs may be negatives."""

    def __init__(
        self, engine: Engine, known: Table, positives: Table, items: Table, scores: Table, share: float
    ) -> None:
        self._known, self._items, self._scores = known, items, scores
        self._alike = positives.select("query_id", key=near_duplicate(positives.title))
        best = positives.select(*_PAIR).inner_join(scores, _PAIR)
        most = best.group_by("query_id").aggregate(most=best.score.max() * share)
        fits = scores.left_join(most, "query_id").select(*_PAIR, "score", "most")
        self._too_good = engine.keep(fits.filter(fits.score > fits.most.fill_null(0.0)).select(*_PAIR))

    def of(self, pairs: Table) -> Table:
        """Those of some pairs, with the columns that they had."""
        unknown = pairs.anti_join(self._known, _PAIR).inner_join(self._items.select("item_id", "key"), "item_id")
        others = unknown.anti_join(self._alike, ["query_id", "key"])
        return others.anti_join(self._too_good, _PAIR).select(*pairs.columns)

    def hard(self) -> Table:
        """query_id, item_id, draw: what shares words with a query and does not fit too well; the best first."""
        return self._scores.anti_join(self._too_good, _PAIR).select(*_PAIR, draw=-self._scores.score)


def _catalogue(engine: Engine, events: Table) -> Table:
    """Each item with a title that the days show: its newest texts and day."""
    titled = events.filter(events.item_id.notnull(), events.title.notnull(), events.title != "")
    newest = [titled.day.desc(), titled.event_id.desc(), titled.title, titled["query"]]
    items = first_of_each(titled, ["item_id"], newest)
    items = items.select("item_id", "title", "day", description=items.description.fill_null(""))
    return engine.keep(items.mutate(key=near_duplicate(items.title)))


def _hardest(allowed: _Allowed, number: int) -> Table:
    hard = allowed.hard()
    looked_at = first_of_each(hard, ["query_id"], [hard.draw, hard.item_id], max(_DRAWS, 4 * number))
    return _first(allowed.of(looked_at), "draw", number, "bm25")


def _walk(engine: Engine, queries: Table, pool: Table, seed: str, number: int) -> Table:
    """query_id, item_id, draw: what each query meets on its walk, each item where it meets it first."""
    placed = pool.mutate(before=running_total(pool.slots, [pool.item_id]))
    slots = copies(placed, placed.slots, "copy")
    slots = engine.keep(slots.select("item_id", slot=slots.before + slots.copy))
    length = _prime(engine.count(slots))
    draws = engine.load(pa.table({"draw": range(min(length, max(_DRAWS, 4 * number)))}))
    starts = queries.select(
        "query_id",
        start=drawn(f"{seed}:start", queries.query_id, length),
        step=1 + drawn(f"{seed}:step", queries.query_id, length - 1),
    )
    steps = starts.mutate(one=1).inner_join(draws.mutate(one=1), "one").select("query_id", "start", "step", "draw")
    met = steps.mutate(slot=(steps.start + steps.draw * steps.step) % length)
    met = met.select("query_id", "draw", "slot").inner_join(slots, "slot").select(*_PAIR, "draw")
    return met.group_by(list(_PAIR)).aggregate(draw=met.draw.min())


def _first(pairs: Table, order: str, number: int, kind: str) -> Table:
    """The first pairs of each query."""
    taken = first_of_each(pairs, ["query_id"], [pairs[order], pairs.item_id], number)
    return taken.select(*_PAIR, negative=constant(kind))


def _rows(chosen: Sequence[Table], queries: Table, items: Table, weight: float) -> Table:
    pairs = reduce(lambda some, more: some.union(more), chosen)
    pairs = pairs.inner_join(queries, "query_id").inner_join(items.drop("key"), "item_id")
    graded: dict[str, Value] = {"grade": float32(constant(0.0)), "weight": float32(constant(weight))}
    return pairs.mutate(**graded).select(*LABELLED, "split", "negative")


def _prime(least: int) -> int:
    """The smallest prime that is not below a number."""
    return next(
        number for number in numbers(max(2, least)) if all(number % part for part in range(2, math.isqrt(number) + 1))
    )
