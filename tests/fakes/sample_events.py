from datetime import UTC, datetime
from typing import Any

from recflow.artifacts.events import Arm, ComparedItem, Comparison, Exposure, Outcome, ShownItem

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


def comparison(request_id: str, **changes: Any) -> Comparison:
    """Two items whose order shadow would turn round, at noon."""
    fields: dict[str, Any] = {
        "request_id": request_id,
        "at": NOON,
        "recipe": RECIPE,
        "user_key": "user-1",
        "epoch": 4,
        "experiment": "rel-2:shadow",
        "shown_version": "v1",
        "shadow_version": "v2",
        "query": "red shoes",
        "items": (
            ComparedItem(item_id="a", score=0.9, shadow_score=0.1, shadow_position=2),
            ComparedItem(item_id="b", score=0.1, shadow_score=0.9, shadow_position=1),
        ),
        "length": 2,
        "tau": -1.0,
        "overlap": None,
        "score_difference": 0.8,
    }
    return Comparison(**(fields | changes))
