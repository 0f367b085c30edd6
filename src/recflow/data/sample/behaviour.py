"""How the generated shop's visitors behave: a position-based click model, drifting from day to day.

    P(click | position k, grade g) = k**-eta * ATTRACTIVENESS[g]        (Craswell et al. 2008)
    P(cart | click, g) = CART[g]          P(purchase | cart, g) = PURCHASE[g]

Results are shown in the order of word overlap plus noise, so that every item is seen at several positions: without
that no log could tell a good item from a high one. With `swaps` the noise is a query's own and stays the same all day,
and in that share of the searches the first item changes places with another, as a shop with a ranker would try it.
Drift: what is asked follows a power law whose weights swing with the week, and items, series and their queries are
launched in the course of time.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

from recflow.data.sample.catalogue import Good, Wish, true_grade

ETA = 0.5
ATTRACTIVENESS = (0.04, 0.15, 0.40, 0.70)
CART = (0.05, 0.10, 0.20, 0.35)
PURCHASE = (0.10, 0.30, 0.40, 0.50)

_SHOWN = 15
_OPEN_S = 22 * 3600
_MIN_SEARCHES = 9

Event = dict[str, Any]


@dataclass(frozen=True)
class Day:
    """One day of the shop: number from 0, date, and how many distinct queries and impressions it should have.

    Every query is searched for nine times at least, so that its items can be labelled: `rows` counts above that only.
    """

    number: int
    date: date
    rows: int
    queries: int
    users: Sequence[str]
    seed: int
    swaps: float | None = None
    eta: float = ETA


def day_events(day: Day, goods: Sequence[Good], wishes: Sequence[Wish], mirrored: frozenset[str]) -> list[Event]:
    """The day's events in time order. For queries in `mirrored` outcomes go to the wrong items: best and worst swap."""
    random = Random(f"day-{day.seed}-{day.number}")
    on_sale = [good for good in goods if good.since <= day.number]
    events: list[Event] = []
    for wish, searches in _asked(day, wishes, random):
        shown = candidates(wish, on_sale, day.seed)
        grades = {good.item_id: true_grade(wish, good) for good in shown}
        if wish.text in mirrored:
            grades = mirror(grades)
        for _ in range(searches):
            events += _search(day, wish, shown, grades, random)
    events.sort(key=lambda event: (event["at"], event["request_id"]))
    return [{"event_id": f"{day.date:%Y%m%d}-{number:06d}", **event} for number, event in enumerate(events)]


def candidates(wish: Wish, on_sale: Sequence[Good], seed: int) -> list[Good]:
    """What the shop's own retrieval finds for a query: mostly the right shelf, some of everything else."""
    random = Random(f"candidates-{seed}-{wish.text}")
    drawn = [(random.random(), good) for good in on_sale]
    weight = {True: 1.0, False: 0.03}
    best = sorted(drawn, key=lambda pair: -(pair[0] ** (1 / weight[pair[1].category == wish.category])))
    return [good for _, good in best[:_SHOWN]]


def mirror(grades: Mapping[str, int]) -> dict[str, int]:
    """The grades dealt out in the opposite order: what the best item had goes to the worst. Ties by id."""
    ranked = sorted(grades, key=lambda item: (grades[item], item))
    return dict(zip(ranked, (grades[item] for item in reversed(ranked)), strict=True))


def _asked(day: Day, wishes: Sequence[Wish], random: Random) -> Iterator[tuple[Wish, int]]:
    weights = {}
    for rank, wish in enumerate(wishes, start=1):
        if wish.since <= day.number:
            weights[wish.text] = rank**-0.7 * (1 + 0.5 * math.sin(2 * math.pi * (day.number + rank) / 7))
    drawn = sorted(weights, key=lambda text: -(random.random() ** (1 / weights[text])))[: day.queries]
    total, spare = sum(weights[text] for text in drawn), max(0, day.rows / _SHOWN - _MIN_SEARCHES * len(drawn))
    by_text = {wish.text: wish for wish in wishes}
    for text in drawn:
        yield by_text[text], _MIN_SEARCHES + round(spare * weights[text] / total)


def _search(day: Day, wish: Wish, shown: Sequence[Good], grades: Mapping[str, int], random: Random) -> Iterator[Event]:
    second = random.randrange(_OPEN_S)
    start = datetime.combine(day.date, time(), UTC) + timedelta(seconds=second)
    request = {
        "request_id": f"r-{day.date:%Y%m%d}-{random.getrandbits(48):012x}",
        "user_key": random.choice(day.users),
        "query": wish.text,
    }
    for position, good in enumerate(_ranked(day, wish, shown, random), start=1):
        event = {**request, "item_id": good.item_id, "position": position}
        yield {"at": start.isoformat(), "kind": "impression", **event}
        for seconds, kind, value in _acts(position**-day.eta, good, grades[good.item_id], random):
            yield {"at": (start + timedelta(seconds=seconds)).isoformat(), "kind": kind, **event, "value": value}


def _ranked(day: Day, wish: Wish, shown: Sequence[Good], random: Random) -> list[Good]:
    words = set(wish.text.lower().split())
    overlap = {good.item_id: len(words & set(good.title.lower().replace(",", "").split())) for good in shown}
    noise = random if day.swaps is None else Random(f"order-{day.seed}-{day.number}-{wish.text}")
    ranked = sorted(shown, key=lambda good: -(overlap[good.item_id] + 3 * noise.random()))
    if day.swaps is not None and random.random() < day.swaps:
        other = random.randrange(1, len(ranked))
        ranked[0], ranked[other] = ranked[other], ranked[0]
    return ranked


def _acts(examined: float, good: Good, grade: int, random: Random) -> Iterator[tuple[int, str, float]]:
    if random.random() >= examined * ATTRACTIVENESS[grade]:
        return
    seconds = random.randint(2, 60)
    yield seconds, "click", 0.0
    if random.random() >= CART[grade]:
        return
    yield seconds + 30, "cart", 0.0
    if random.random() < PURCHASE[grade]:
        yield seconds + 120, "purchase", good.price
