"""What clients send and are told: requests, their limits, and refusals with stable codes."""

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from recflow.artifacts.digests import digest_json
from recflow.artifacts.events import OutcomeName
from recflow.config.sections.serving import ServingSection
from recflow.domain.text import normalise

_ANONYMOUS = "anonymous:"
_Id = Annotated[str, Field(max_length=128)]
_Text = Annotated[str, BeforeValidator(lambda text: "" if text is None else text)]


class Refusal(Exception):
    """A request that is not served: HTTP status, a stable code for programs and a short text for people."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})


class Unit(BaseModel):
    """Who asks: a signed-in user or, failing that, an anonymous visitor's first-party id.

    At login the user id wins and the visitor counts as that user from then on; earlier requests stay the visitor's.
    """

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)
    user_id: _Id = ""
    anonymous_id: _Id = ""

    @property
    def user_key(self) -> str:
        """The unit of experiments; an anonymous id can never collide with a user's, see `parse`."""
        return self.user_id or f"{_ANONYMOUS}{self.anonymous_id}"


class Item(BaseModel):
    """One item to rank; further attributes are welcome and not read."""

    model_config = ConfigDict(coerce_numbers_to_str=True)
    id: Annotated[str, Field(min_length=1, max_length=128)]
    title: _Text = ""
    description: _Text = ""


class RankRequest(Unit):
    """Order these items for this query. `marked` keeps a request out of experiments."""

    query: str
    items: list[Item]
    marked: Literal["", "bot", "employee"] = ""


class OutcomeRequest(Unit):
    """What the user did with an item of an answered request. The same `outcome_id` counts once.

    Without one it is derived from request, user, kind and item: a second purchase of the same item from the same
    answer needs an id of its own. `value` is the revenue in the shop's currency.
    """

    request_id: Annotated[str, Field(min_length=1, max_length=128)]
    kind: OutcomeName
    item_id: Annotated[str, Field(min_length=1, max_length=128)]
    value: Annotated[float, Field(ge=0)] = 0.0
    outcome_id: _Id = ""

    @property
    def key(self) -> str:
        """The outcome's id, given or derived."""
        return self.outcome_id or digest_json([self.request_id, self.user_key, self.kind, self.item_id])[:32]


_Message = TypeVar("_Message", bound=Unit)


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
    if message.user_id.startswith(_ANONYMOUS):
        raise Refusal(422, "invalid_field", f"user_id: must not start with {_ANONYMOUS}")
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
