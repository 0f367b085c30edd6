"""Serving events: who was assigned and shown what, and what they then did."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from recflow.artifacts.frozen import Frozen


class Arm(StrEnum):
    """The arm a user is assigned to; only TREATMENT and CONTROL are compared."""

    TREATMENT = "treatment"
    CONTROL = "control"
    STABLE = "stable"


class Fallback(StrEnum):
    """Why a request was answered by something else than the assigned version; NONE when it was not."""

    NONE = ""
    ERROR = "error"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    STALE_ROUTES = "stale_routes"


class ShownItem(Frozen):
    """An item at a position (from 1) with its score."""

    item_id: str
    position: int
    score: float


class Exposure(Frozen):
    """One answered request. Experiments judge by `arm`, the assigned one, whatever served.

    `experiment` is `<release id>:<stage>` or empty outside experiments; `marked` says why a request is left out of
    experiments (bot, employee, forced, shadow) and is empty for shoppers. `items` is empty when nothing was shown: a
    mirrored request (shadow), or an answer that came after the deadline (TIMEOUT, nobody served).
    """

    request_id: str
    at: datetime
    recipe: str
    user_key: str
    anonymous: bool
    marked: str = ""
    epoch: int
    experiment: str = ""
    arm: Arm
    assigned_version: str
    served_version: str
    fallback: Fallback = Fallback.NONE
    query: str
    items: tuple[ShownItem, ...]
    latency_ms: float


class OutcomeKind(StrEnum):
    """What a shopper did with a shown item, weakest first."""

    CLICK = "click"
    CART = "cart"
    PURCHASE = "purchase"


class Outcome(Frozen):
    """One act on an item that was shown by `request_id`; `value` is revenue in the shop's currency for purchases."""

    outcome_id: str
    request_id: str
    at: datetime
    recipe: str
    user_key: str
    kind: OutcomeKind
    item_id: str
    value: float = Field(default=0.0, ge=0)
