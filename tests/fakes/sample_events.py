from datetime import UTC, datetime
from typing import Any

from recflow.artifacts.events import Arm, Exposure, Outcome, ShownItem

RECIPE = "search_relevance"
NOON = datetime(2011, 1, 5, 12, tzinfo=UTC)


def exposure(request_id: str, **changes: Any) -> Exposure:
    """An exposure of two items to a shopper of the stable arm, at noon."""
    fields: dict[str, Any] = {
        "request_id": request_id,
        "at": NOON,
        "recipe": RECIPE,
        "user_key": "user-1",
        "anonymous": False,
        "epoch": 3,
        "arm": Arm.STABLE,
        "assigned_version": "v1",
        "served_version": "v1",
        "query": "red shoes",
        "items": (ShownItem(item_id="a", position=1, score=0.9), ShownItem(item_id="b", position=2, score=0.1)),
        "latency_ms": 12.5,
    }
    return Exposure(**(fields | changes))


def outcome(outcome_id: str, **changes: Any) -> Outcome:
    """A click on item a of request r-1, at noon."""
    fields: dict[str, Any] = {
        "outcome_id": outcome_id,
        "request_id": "r-1",
        "at": NOON,
        "recipe": RECIPE,
        "user_key": "user-1",
        "kind": "click",
        "item_id": "a",
    }
    return Outcome(**(fields | changes))
