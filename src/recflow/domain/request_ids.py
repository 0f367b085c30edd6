"""Request ids: which line answered and when; signed, also whom, so that nobody can name an answer that was not his.

    <recipe>-<milliseconds since the epoch, 12 hex><random, 20 hex>[-<signature, 32 hex>]

The signature is keyed BLAKE2b (RFC 7693) of 128 bits over recipe, what was issued, and the user key: as sound as
HMAC-SHA256 at a third of its time, which every answer pays. An id never has more than 107 characters.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

# The longest secret that BLAKE2b takes, in bytes.
LONGEST_SECRET = hashlib.blake2b.MAX_KEY_SIZE
_ISSUED_LENGTH = 32
_SIGNATURE_BYTES = 16


@dataclass(frozen=True)
class RequestId:
    """The parts of a request id; `signature` is empty in one without."""

    recipe: str
    issued: str
    signature: str = ""

    def __str__(self) -> str:
        return "-".join(filter(None, (self.recipe, self.issued, self.signature)))

    @property
    def issued_s(self) -> float:
        """When a signed id was issued, in seconds since the epoch; without a signature this says nothing."""
        return int(self.issued[:12], 16) / 1000


def new_issue(now: datetime) -> str:
    """The part of a request id that says when, and that no two answers share."""
    return f"{int(now.timestamp() * 1000):012x}{secrets.token_hex(10)}"


def read_request_id(text: str) -> RequestId:
    """The parts of any text; whether it was ever issued is another question."""
    recipe, _, rest = text.partition("-")
    issued, _, signature = rest.partition("-")
    return RequestId(recipe, issued, signature)


@dataclass(frozen=True)
class SigningKeys:
    """Secrets, newest first: the first signs, all are accepted. `accepts_unsigned`: ids without a signature are too.

    Without secrets nothing is signed, and every id counts as issued to whoever names it.
    """

    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    accepts_unsigned: bool = False

    @property
    def told(self) -> str:
        """For people: whether ids are signed, and what is accepted."""
        if not self.secrets:
            return "request ids are not signed: an outcome counts for any answer that its sender can name"
        count = "one key is" if len(self.secrets) == 1 else f"{len(self.secrets)} keys are"
        told = f"request ids are signed, {count} accepted"
        return f"{told}, and so are ids without a signature" if self.accepts_unsigned else told

    def needs_signature(self, request_id: RequestId) -> bool:
        """Whether this id is taken for its signature only."""
        return bool(self.secrets) and (bool(request_id.signature) or not self.accepts_unsigned)

    def request_id(self, recipe: str, issued: str, user_key: str) -> RequestId:
        """The id of an answer to this user, signed where there are secrets."""
        return RequestId(recipe, issued, _signature(self.secrets[0], recipe, issued, user_key) if self.secrets else "")

    def holder(self, request_id: RequestId, user_keys: Sequence[str]) -> str | None:
        """Which of these keys the answer was given to: the first for an id that is taken unsigned; None for no key."""
        if not self.needs_signature(request_id):
            return next(iter(user_keys), None)
        if len(request_id.issued) != _ISSUED_LENGTH:
            return None
        given = request_id.signature.encode()
        for secret in self.secrets:
            for user_key in user_keys:
                expected = _signature(secret, request_id.recipe, request_id.issued, user_key)
                if hmac.compare_digest(expected.encode(), given):
                    return user_key
        return None


def _signature(secret: bytes, recipe: str, issued: str, user_key: str) -> str:
    # A recipe's name holds no zero byte and what was issued has one length: no two triples give one message.
    message = f"{recipe}\0{issued}\0{user_key}".encode()
    return hashlib.blake2b(message, key=secret, digest_size=_SIGNATURE_BYTES).hexdigest()
