"""Twelve faults that real feeds have, planted in a day's events at seeded rates, with a ledger of where they are."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal

from recflow.data.sample.behaviour import Event

_BOT_REQUESTS = 30

Effect = Literal["quarantined", "dropped", "warned"]


@dataclass(frozen=True)
class Fault:
    """One kind of fault: which rows it can befall, what it does to one, which check sees it and what follows.

    `rate` is a share of the day's rows; at least one row is befallen.
    """

    name: str
    check: str
    befalls: Literal["impression", "purchase"]
    spoil: Callable[[Event, Random], Event]
    effect: Effect = "quarantined"
    rate: float = 0.001


def _with(**changes: object) -> Callable[[Event, Random], Event]:
    return lambda event, _: {**event, **changes}


def _days_off(event: Event, random: Random) -> Event:
    at = datetime.fromisoformat(event["at"]) + timedelta(days=random.choice((-30, 2, 365)))
    return {**event, "at": random.choice((at, datetime(1970, 1, 1, tzinfo=UTC))).isoformat()}


def _damaged(event: Event, random: Random) -> Event:
    cut = random.randrange(len(event["query"]))
    return {**event, "query": event["query"][:cut] + "\N{REPLACEMENT CHARACTER}" + event["query"][cut + 1 :]}


def _negated(event: Event, random: Random) -> Event:
    return {**event, "value": -event["value"]}


# Befallen impressions are such as nothing followed on, so that a spoilt row never makes a second one bad.
SPOILING = (
    Fault("missing_query", "query_present", "impression", _with(query=" ")),
    Fault("missing_request_id", "request_id_present", "impression", _with(request_id=None)),
    Fault("unknown_item", "item_known", "impression", _with(item_id="p-gone")),
    Fault("wrong_type", "position_is_a_number", "impression", _with(position="third")),
    Fault("position_below_one", "position_from_1", "impression", _with(position=0)),
    Fault("outside_interval", "at_inside_interval", "impression", _days_off),
    Fault("encoding_damage", "query_undamaged", "impression", _damaged),
    Fault("negative_value", "value_not_negative", "purchase", _negated, rate=0.0003),
    Fault("value_outlier", "purchase_value_typical", "purchase", _with(value=50_000.0), "warned", rate=0.0003),
    Fault("exact_duplicate", "", "impression", lambda event, _: event, "dropped", rate=0.005),
)
NAMES = (*(fault.name for fault in SPOILING), "orphan_outcome", "bot_user")


def plant(events: list[Event], items: list[str], seed: str) -> tuple[list[Event], list[dict[str, str]]]:
    """The events with all twelve faults in them, and the ledger: event_id, fault, check and effect of each bad row."""
    random = Random(f"faults-{seed}")
    acted = {(event["request_id"], event["item_id"]) for event in events if event["kind"] != "impression"}
    idle = [i for i, event in enumerate(events) if (event["request_id"], event["item_id"]) not in acted]
    places = {"impression": idle, "purchase": [i for i, event in enumerate(events) if event["kind"] == "purchase"]}
    for free in places.values():
        random.shuffle(free)
    planted, ledger = list(events), []
    for fault in SPOILING:
        for _ in range(max(1, round(fault.rate * len(events)))):
            place = places[fault.befalls].pop()
            spoilt = fault.spoil(events[place], random)
            if fault.effect == "dropped":
                planted.append(spoilt)
            else:
                planted[place] = spoilt
            ledger.append(_entry(spoilt, fault.name, fault.check, fault.effect))
    for event in _orphans(events, items, random):
        planted.append(event)
        ledger.append(_entry(event, "orphan_outcome", "outcome_was_shown", "quarantined"))
    for event in _bot(events, random):
        planted.append(event)
        ledger.append(_entry(event, "bot_user", "requests_a_minute_of_a_person", "quarantined"))
    return planted, ledger


def _entry(event: Event, fault: str, check: str, effect: Effect) -> dict[str, str]:
    return {"event_id": event["event_id"], "fault": fault, "check": check, "effect": effect}


def _orphans(events: list[Event], items: list[str], random: Random) -> list[Event]:
    """Clicks on items that their search did not show."""
    orphans = []
    for number, shown in enumerate(random.sample(events, max(1, len(events) // 1000))):
        seen = {event["item_id"] for event in events if event["request_id"] == shown["request_id"]}
        other = random.choice([item for item in items if item not in seen])
        event = {
            "event_id": f"{shown['event_id']}-o{number}",
            "kind": "click",
            "item_id": other,
            "position": 1,
            "value": 0.0,
        }
        orphans.append({**shown, **event})
    return orphans


def _bot(events: list[Event], random: Random) -> list[Event]:
    """One program that searches thirty times within a minute."""
    shown = random.sample([event for event in events if event["kind"] == "impression"], _BOT_REQUESTS)
    minute = datetime.fromisoformat(shown[0]["at"]).replace(second=0)
    return [
        {
            **event,
            "event_id": f"{event['event_id']}-b",
            "at": (minute + timedelta(seconds=number)).isoformat(),
            "request_id": f"{event['request_id']}-b",
            "user_key": "u-crawler",
        }
        for number, event in enumerate(shown)
    ]
