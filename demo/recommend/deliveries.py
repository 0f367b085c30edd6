"""What the recommending shop delivers beside the generated one: what came into view, and a join that went wrong."""

from collections.abc import Collection, Sequence
from random import Random
from typing import Any

from recflow.data.sample.behaviour import ETA

Event = dict[str, Any]
ACTS = frozenset({"click", "cart", "purchase"})
TEASER_SEEN = 0.8


def with_views(events: Sequence[Event], teasers: Sequence[str], seed: str) -> list[Event]:
    """The events and, behind them, a `view` of each item that came into view: by its place, and on most pages a teaser.

    Teasers are items that every page shows beside its list, whatever was searched for.
    """
    random = Random(f"views-{seed}")
    told: list[Event] = []
    for event in events:
        told.append(event)
        if event["kind"] != "impression":
            continue
        if random.random() < _seen(event["position"]):
            told.append(_view(event, event["item_id"]))
        if event["position"] == 1:
            told += [_view(event, item) for item in teasers if random.random() < TEASER_SEEN]
    return told


def _seen(position: Any) -> float:
    return float(position**-ETA) if isinstance(position, int) and position > 0 else 0.0


def _view(event: Event, item: str) -> Event:
    return {**event, "kind": "view", "item_id": item, "event_id": f"{event['event_id']}-view-{item}"}


def to_wrong_shoppers(events: Sequence[Event], shoppers: Collection[str], seed: str) -> list[Event]:
    """The events, the acts of these shoppers dealt out among them anew: as many each, but of other people's taste."""
    acts = [event for event in events if event["kind"] in ACTS and event["user_key"] in shoppers]
    keys = [act["user_key"] for act in acts]
    Random(f"shoppers-{seed}").shuffle(keys)
    dealt = {id(act): key for act, key in zip(acts, keys, strict=True)}
    return [{**event, "user_key": dealt.get(id(event), event["user_key"])} for event in events]
