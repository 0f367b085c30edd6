"""Admitting outcomes: what can be told not to belong to an answer, or to be no person's, is refused with its code.

Whether the item was in the answer, and in time, is the reader's to say: here nothing is known of what was shown.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from recflow.artifacts.events import Outcome
from recflow.config.recipe import Recipe
from recflow.domain.matching import SKEW
from recflow.domain.request_ids import RequestId, SigningKeys, read_request_id
from recflow.domain.requests import Refusal
from recflow.gateway.limiting import Limiter
from recflow.gateway.messages import OutcomeRequest, check_item, check_kind


class Admission:
    """What one process takes as outcomes of these recipes. Its limits count what this process was sent.

    `without_items` are the recipes whose answers show none.
    """

    def __init__(self, recipes: Mapping[str, Recipe], keys: SigningKeys, without_items: Collection[str]) -> None:
        self._recipes, self._keys, self._without_items = recipes, keys, without_items
        self._by_request, self._by_user = Limiter(timedelta(hours=1)), Limiter(timedelta(minutes=1))

    def admit(self, request: OutcomeRequest, now: datetime) -> Outcome:
        """The outcome of a request. 422: not of an answer to this user, or not of a kind and worth; 429: too many."""
        request_id = read_request_id(request.request_id)
        recipe = self._recipes.get(request_id.recipe)
        if recipe is None:
            raise Refusal(422, "unknown_request", "request_id is none of this gateway's")
        check_kind(request, recipe.outcomes)
        check_item(request, shows_items=recipe.name not in self._without_items)
        user_keys = request.unit.keys(request_id.issued)
        user_key = self._holder(request_id, user_keys, now)
        self._count(request_id, user_key, recipe, now)
        return Outcome(
            outcome_id=request.key(user_key),
            request_id=request.request_id,
            at=now,
            recipe=recipe.name,
            user_key=user_key,
            visitor_key=next(iter(user_keys[1:]), ""),
            kind=request.kind,
            item_id=request.item_id,
            value=request.value,
        )

    def _holder(self, request_id: RequestId, user_keys: tuple[str, ...], now: datetime) -> str:
        holder = self._keys.holder(request_id, user_keys)
        if holder is None:
            raise Refusal(422, "unknown_request", "request_id was not issued to this user")
        if self._keys.needs_signature(request_id) and request_id.issued_s > now.timestamp() + SKEW.total_seconds():
            raise Refusal(422, "unknown_request", "request_id was issued in the future: do the gateways' clocks agree?")
        return holder

    def _count(self, request_id: RequestId, user_key: str, recipe: Recipe, now: datetime) -> None:
        by_request, by_user = (recipe.name, request_id.issued), (recipe.name, user_key)
        wait_s = max(
            self._by_request.wait_s(by_request, recipe.serving.max_outcomes_per_request, now),
            self._by_user.wait_s(by_user, recipe.serving.max_outcomes_per_minute, now),
        )
        if wait_s:
            raise Refusal(429, "too_many_outcomes", "nobody does so much", {"Retry-After": str(wait_s)})
        self._by_request.count(by_request, now)
        self._by_user.count(by_user, now)
