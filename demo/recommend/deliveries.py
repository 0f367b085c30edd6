"""What the recommending shop delivers beside the generated one: what came into view, and a join that went wrong."""

from collections.abc import Collection, Sequence
from random import Random
from typing import Any

from recflow.data.sample.behaviour import ETA

Event = dict[str, Any]
ACTS = frozenset({"click", "cart", "purchase"})


def with_views(events: Sequence[Event], seed: str) -> list[Event]:
    """The events and, behind an impression that came into view, a `view` of it: by its position alone."""
    random = Random(f"views-{seed}")
    told: list[Event] = []
    for event in events:
        told.append(event)
        if event["kind"] == "impression" and random.random() < _seen(event["position"]):
            told.append({**event, "kind": "view", "event_id": f"{event['event_id']}-view"})
    return told


def _seen(position: Any) -> float:
    return float(position**-ETA) if isinstance(position, int) and position > 0 else 0.0


def to_wrong_shoppers(events: Sequence[Event], shoppers: Collection[str], seed: str) -> list[Event]:
    """The events, the acts of these shoppers dealt out among them anew: as many each, but of other people's taste."""
    acts = [event for event in events if event["kind"] in ACTS and event["user_key"] in shoppers]
    keys = [act["user_key"] for act in acts]
    Random(f"shoppers-{seed}").shuffle(keys)
    dealt = {id(act): key for act, key in zip(acts, keys, strict=True)}
    return [{**event, "user_key": dealt.get(id(event), event["user_key"])} for event in events]
