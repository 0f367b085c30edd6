"""What anybody may say to a gateway, whatever its lines answer: who asks, of what kind the request is, and refusals."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from recflow.domain.units import Unit, unit_of


def null_as(default: Any) -> BeforeValidator:
    """What programs send as null is missing."""
    return BeforeValidator(lambda given: default if given is None else given)


def _as_text(context: Any) -> Any:
    if not isinstance(context, dict):
        return context
    given = {name: said for name, said in context.items() if said is not None}
    return {name: str(said).lower() if isinstance(said, bool) else said for name, said in given.items()}


Id = Annotated[str, Field(max_length=128)]
ItemId = Annotated[str, Field(min_length=1, max_length=128)]
_Name = Annotated[str, Field(min_length=1, max_length=40)]
_Said = Annotated[str, Field(max_length=200)]


class Refusal(Exception):
    """A request that is not served: HTTP status, a stable code for programs and a short text for people."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})


class Message(BaseModel):
    """What somebody says: a signed-in user, an anonymous visitor by a first-party id, or both ids at login."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)
    user_id: Id | None = Field(default=None, description="Null where there is none, never a word for it.")
    anonymous_id: Id | None = None

    @property
    def unit(self) -> Unit:
        """Who that is; an anonymous id can never collide with a user's, see `recflow.gateway.messages.parse`."""
        return unit_of(self.user_id or "", self.anonymous_id or "")


class Request(Message):
    """What somebody asks of a line; a task adds what its model reads. `marked` keeps a request out of experiments."""

    marked: Annotated[Literal["", "bot", "employee"], null_as("")] = ""
    context: Annotated[dict[_Name, _Said], BeforeValidator(_as_text), null_as({})] = Field(
        default_factory=dict,
        max_length=20,
        description="What is known of the request: device, page … Nothing personal.",
    )
