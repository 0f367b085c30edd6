"""What clients send: how it is read, and what they say of an answer. What they ask of a line is its task's."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, ValidationError

from recflow.artifacts.digests import digest_json
from recflow.artifacts.events import OutcomeName
from recflow.config.sections.outcomes import OutcomesSection
from recflow.domain.requests import Id, ItemId, Message, Refusal, null_as
from recflow.domain.units import ANONYMOUS, UNIDENTIFIED


def _no_flag(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is needed")  # noqa: TRY004 - pydantic lets a TypeError through
    return value


class OutcomeRequest(Message):
    """What the user did with an item of an answered request, or with an answer without items. One id counts once.

    Without one it is derived from request, user, kind and item: a second purchase of the same item from the same
    answer needs an id of its own. Kinds, and which of them carry a `value` (in the shop's currency, up to which
    bound), are the recipe's. Who signs in between answer and act sends both ids.
    """

    request_id: ItemId
    kind: OutcomeName
    item_id: Annotated[Id, null_as("")] = Field(
        default="", description="Needed where answers show items, and only there."
    )
    value: Annotated[float, BeforeValidator(_no_flag), null_as(0.0), Field(ge=0)] = 0.0
    outcome_id: Annotated[Id, null_as("")] = ""

    def key(self, user_key: str) -> str:
        """The outcome's id, given or derived, for the user it counts for."""
        return self.outcome_id or digest_json([self.request_id, user_key, self.kind, self.item_id])[:32]


_Message = TypeVar("_Message", bound=Message)


async def read_body(chunks: AsyncIterator[bytes], declared: str | None, limit: int) -> bytes:
    """The body, refused with 413 as soon as it is, or says it will be, longer than `limit` bytes."""
    too_large = Refusal(413, "body_too_large", f"the body may have {limit} bytes")
    if declared is not None and declared.isdecimal() and int(declared) > limit:
        raise too_large
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise too_large
    return bytes(body)


def parse(kind: type[_Message], body: bytes) -> _Message:
    """The message in a body; 422 says what is wrong without repeating what was sent."""
    try:
        message = kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise Refusal(422, "malformed_json", "the body is not JSON in UTF-8") from None
        place = ".".join(map(str, first["loc"]))
        raise Refusal(422, "invalid_field", f"{place}: {first['msg']}"[:200]) from None
    if not message.user_id and not message.anonymous_id:
        raise Refusal(422, "no_user", "user_id or anonymous_id is needed")
    if (message.user_id or "").startswith((ANONYMOUS, UNIDENTIFIED)):
        raise Refusal(422, "invalid_field", f"user_id: must not start with {ANONYMOUS} or {UNIDENTIFIED}")
    return message


def check_item(request: OutcomeRequest, *, shows_items: bool) -> None:
    """422 for an act on an item of an answer without any, and for one that does not say which of the items it is on."""
    if shows_items and not request.item_id:
        raise Refusal(422, "invalid_field", "item_id: the item of the answer is needed")
    if request.item_id and not shows_items:
        raise Refusal(422, "item_not_expected", "item_id: answers of this line show no items")


def check_kind(request: OutcomeRequest, outcomes: OutcomesSection) -> None:
    """422 for a kind of act that the recipe does not name, and for a value that this kind cannot have."""
    kind = outcomes.kind(request.kind)
    if kind is None:
        raise Refusal(422, "unknown_kind", f"kind: none of {', '.join(known.name for known in outcomes.kinds)}")
    if request.value > 0 and kind.max_value == 0:
        raise Refusal(422, "value_not_expected", f"value: a {kind.name} carries none")
    if request.value > kind.max_value:
        raise Refusal(422, "value_too_large", f"value: a {kind.name} is worth {kind.max_value:g} at most")
