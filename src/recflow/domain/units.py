"""Who asks: the unit of experiments, from the ids that a shop sends."""

import re
from dataclasses import dataclass

ANONYMOUS, UNIDENTIFIED = "anonymous:", "unidentified:"
# What programs send where they have no id: one such word would be the id of everybody who is not signed in.
_NOBODY = frozenset(
    {
        "", "-1", "anon", "anonymous", "false", "guest", "n/a", "na", "nan", "nil", "none", "not set", "null",
        "object object", "true", "undefined", "unknown",
    }
)  # fmt: skip
_ZEROS = re.compile(r"[0-]+")
_AROUND = " \t\r\n\"'()[]<>{}"


def stands_for_nobody(identity: str) -> bool:
    """Whether an id is a word for a missing one (`undefined`, `(null)`, `Guest`), a zero, or a UUID of zeros."""
    word = identity.strip(_AROUND).casefold()
    return word in _NOBODY or _ZEROS.fullmatch(word) is not None


@dataclass(frozen=True)
class Unit:
    """A signed-in user's key, an anonymous visitor's key, or both; "" for none.

    `nobody`: an id was sent that stands for nobody.
    """

    user: str = ""
    visitor: str = ""
    nobody: bool = False

    @property
    def is_known(self) -> bool:
        """Whether there is an id of somebody."""
        return bool(self.user or self.visitor)

    def keys(self, issued: str) -> tuple[str, ...]:
        """The keys that an answer may have been given to, the one that an answer is given to now first.

        Who sends an id of nobody has a key of his own for each answer: all of them together are no unit. `issued` is
        the part of the request id that no two answers share.
        """
        unidentified = f"{UNIDENTIFIED}{issued}" if self.nobody else ""
        return tuple(filter(None, (self.user, self.visitor, unidentified)))


def unit_of(user_id: str, anonymous_id: str) -> Unit:
    """The unit that the ids of a message stand for; an empty id is a missing one.

    At login the user id wins and the visitor counts as that user from then on; earlier requests stay the visitor's.
    """
    user, visitor = ("" if stands_for_nobody(given) else given for given in (user_id, anonymous_id))
    nobody = bool((user_id and not user) or (anonymous_id and not visitor))
    return Unit(user, f"{ANONYMOUS}{visitor}" if visitor else "", nobody)
