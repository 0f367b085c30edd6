"""Serving events: who was assigned and shown what, and what they then did.

Records of schema 1 have no `schema_version`, and none of the fields that say "since 2"; readers take both as one table.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

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


# Marks a shopper without any id: served by stable and outside experiments, while the clicks are good labels.
UNIDENTIFIED = "unidentified"
# The column of exposures and comparisons that holds what was asked in words, whatever a task calls it.
ASKED = "query"
OutcomeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="As the recipe's outcomes name it.")]


class ShownItem(Frozen):
    """An item at a position (from 1) with its score.

    `propensity` (since 2) is the probability with which the assigned version puts this item at this position; None for
    a version that always gives the same order.
    """

    item_id: str
    position: int
    score: float
    propensity: float | None = Field(default=None, gt=0, le=1)


class Exposure(Frozen):
    """One answered request. Experiments judge by `arm`, the assigned one, whatever served.

    `experiment` is `<release id>:<stage>` or empty outside experiments; `marked` says why a request is left out of
    experiments (bot, employee, forced, shadow, unidentified) and is empty for shoppers. `unidentified` are shoppers
    whose id stands for nobody (`guest`): the user key is the request's own, so that they are not one unit. `items` is
    empty when nothing was shown: a mirrored request (shadow), or an answer that came after the deadline (TIMEOUT,
    nobody served).

    Since 2: `context` is what the shop said of the request (device, page …), `candidates` the items that were
    considered where these are more than the shown ones, `answer` what a task answered beside items, as JSON.
    `query` is empty where a task is asked nothing in words. `erased` marks what is left of a request of a person who
    asked to be forgotten: it counts as traffic, its user key, query, context, items and answer are empty.
    """

    schema_version: Literal[2] = 2
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
    context: Mapping[str, str] = Field(default_factory=dict)
    candidates: tuple[str, ...] = ()
    answer: str = ""
    erased: bool = False


class ComparedItem(Frozen):
    """An item with the score that the shopper's answer had for it, and the shadow version's score and position.

    Both are 0 where the shadow version chose other items.
    """

    item_id: str
    score: float
    shadow_score: float
    shadow_position: int


class Comparison(Frozen):
    """What shadow found out about one request: `items` in the order that stable showed, with the candidate's beside it.

    `tau` (Kendall's tau-b) is None where there is nothing to compare: a list of one item, or no order on either side.
    `overlap` is that of the first ten, None for lists of at most ten. A task that orders no given items has an
    agreement of its own in `tau`, and the length of what it was asked with, or 0. Both, `score_difference` (mean,
    absolute) and `length` outlive `erased`, which empties user key, query and items as for exposures. No exposure, no
    traffic.
    """

    schema_version: Literal[1] = 1
    request_id: str
    at: datetime
    recipe: str
    user_key: str
    epoch: int
    experiment: str
    shown_version: str
    shadow_version: str
    query: str
    items: tuple[ComparedItem, ...]
    length: int = Field(ge=0)
    tau: float | None
    overlap: float | None
    score_difference: float
    erased: bool = False


class Outcome(Frozen):
    """One act on an item that was shown by `request_id`; `value` in the line's currency, for kinds that carry one.

    `item_id` is empty for an act on the answer as a whole, of a task that shows no items. Acts are told apart by
    (outcome_id, request_id, item_id, kind): an order's id may stand for several items.
    `visitor_key` (since 2) is the anonymous unit that a person who has signed in since may have been exposed as: the
    act counts for whichever of the two keys the answer was given to. `erased` as for exposures.
    """

    schema_version: Literal[2] = 2
    outcome_id: str
    request_id: str
    at: datetime
    recipe: str
    user_key: str
    visitor_key: str = ""
    kind: OutcomeName
    item_id: str = ""
    value: float = Field(default=0.0, ge=0)
    erased: bool = False


Record = Exposure | Outcome | Comparison
"""What a gateway appends to its event log."""
