"""What clients send and are told: requests, their limits, and refusals with stable codes."""

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from recflow.artifacts.digests import digest_json
from recflow.artifacts.events import OutcomeName
from recflow.config.sections.outcomes import OutcomesSection
from recflow.config.sections.serving import ServingSection
from recflow.domain.text import normalise
from recflow.domain.units import ANONYMOUS, UNIDENTIFIED, Unit, unit_of


def _null_as(default: Any) -> BeforeValidator:
    """What programs send as null is missing."""
    return BeforeValidator(lambda given: default if given is None else given)


_Id = Annotated[str, Field(max_length=128)]
_Text = Annotated[str, _null_as("")]


class Refusal(Exception):
    """A request that is not served: HTTP status, a stable code for programs and a short text for people."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})


def _no_flag(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is needed")  # noqa: TRY004 - pydantic lets a TypeError through
    return value


def _as_text(context: Any) -> Any:
    if not isinstance(context, dict):
        return context
    given = {name: said for name, said in context.items() if said is not None}
    return {name: str(said).lower() if isinstance(said, bool) else said for name, said in given.items()}


class Message(BaseModel):
    """What somebody says: a signed-in user, an anonymous visitor by a first-party id, or both ids at login."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)
    user_id: _Id | None = Field(default=None, description="Null where there is none, never a word for it.")
    anonymous_id: _Id | None = None

    @property
    def unit(self) -> Unit:
        """Who that is; an anonymous id can never collide with a user's, see `parse`."""
        return unit_of(self.user_id or "", self.anonymous_id or "")


class Item(BaseModel):
    """One item to rank; further attributes are welcome and not read."""

    model_config = ConfigDict(coerce_numbers_to_str=True)
    id: Annotated[str, Field(min_length=1, max_length=128)]
    title: _Text = ""
    description: _Text = ""


_Name = Annotated[str, Field(min_length=1, max_length=40)]
_Said = Annotated[str, Field(max_length=200)]


class RankRequest(Message):
    """Order these items for this query. `marked` keeps a request out of experiments."""

    query: str
    items: list[Item]
    marked: Annotated[Literal["", "bot", "employee"], _null_as("")] = ""
    context: Annotated[dict[_Name, _Said], BeforeValidator(_as_text), _null_as({})] = Field(
        default_factory=dict,
        max_length=20,
        description="What is known of the request: device, page … Nothing personal.",
    )


class OutcomeRequest(Message):
    """What the user did with an item of an answered request. The same `outcome_id` counts once.

    Without one it is derived from request, user, kind and item: a second purchase of the same item from the same
    answer needs an id of its own. Kinds, and which of them carry a `value` (in the shop's currency, up to which
    bound), are the recipe's. Who signs in between answer and act sends both ids.
    """

    request_id: Annotated[str, Field(min_length=1, max_length=128)]
    kind: OutcomeName
    item_id: Annotated[str, Field(min_length=1, max_length=128)]
    value: Annotated[float, BeforeValidator(_no_flag), _null_as(0.0), Field(ge=0)] = 0.0
    outcome_id: Annotated[_Id, _null_as("")] = ""

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


def check_limits(request: RankRequest, limits: ServingSection) -> None:
    """422 with the code of the first limit that the request breaks."""
    ids = {item.id for item in request.items}
    longest, most = limits.max_query_characters, limits.max_items
    broken = {
        ("empty_query", "the query has no visible character"): not normalise(request.query),
        ("query_too_long", f"the query may have {longest} characters"): len(request.query) > longest,
        ("no_items", "there is nothing to rank"): not request.items,
        ("too_many_items", f"{most} items may be ranked at once"): len(request.items) > most,
        ("duplicate_items", "an item id occurs twice"): len(ids) < len(request.items),
    }
    for (code, message), is_broken in broken.items():
        if is_broken:
            raise Refusal(422, code, message)


def check_kind(request: OutcomeRequest, outcomes: OutcomesSection) -> None:
    """422 for a kind of act that the recipe does not name, and for a value that this kind cannot have."""
    kind = outcomes.kind(request.kind)
    if kind is None:
        raise Refusal(422, "unknown_kind", f"kind: none of {', '.join(known.name for known in outcomes.kinds)}")
    if request.value > 0 and kind.max_value == 0:
        raise Refusal(422, "value_not_expected", f"value: a {kind.name} carries none")
    if request.value > kind.max_value:
        raise Refusal(422, "value_too_large", f"value: a {kind.name} is worth {kind.max_value:g} at most")
