"""The ledger's records: what was decided and routed, by whom, when and why. Append-only and hash-chained."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from recflow.artifacts.decisions import Decision
from recflow.artifacts.digests import digest_json
from recflow.artifacts.frozen import Frozen
from recflow.artifacts.plans import Plan
from recflow.artifacts.refs import Ref

GENESIS_HASH = "0" * 64


class ReleaseState(StrEnum):
    """Where a release stands; the last six are terminal, MEASURED that of an A/A."""

    PACKAGED = "packaged"
    CHECKED = "checked"
    AWAITING_APPROVAL = "awaiting_approval"
    SHADOW = "shadow"
    CANARY = "canary"
    JUDGING = "judging"
    PROMOTING = "promoting"
    ROLLING_BACK = "rolling_back"
    HELD = "held"
    STABLE = "stable"
    ROLLED_BACK = "rolled_back"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    ABORTED = "aborted"
    MEASURED = "measured"

    @property
    def terminal(self) -> bool:
        """Whether a release in this state is over."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {
        ReleaseState.STABLE,
        ReleaseState.ROLLED_BACK,
        ReleaseState.REJECTED,
        ReleaseState.SUPERSEDED,
        ReleaseState.ABORTED,
        ReleaseState.MEASURED,
    }
)


class Candidate(Frozen):
    """A packaged model that passed the offline gate, with what it was made from.

    `version` is `<interval label without dashes>-<8 digits of the package digest>`; `trained_through` the end of the
    newest interval it has seen.
    """

    version: str
    package: Ref
    checkpoint: Ref | None = None
    decision: Ref | None = None
    interval_label: str
    trained_through: datetime
    recipe_digest: str = ""


class Served(Frozen):
    """A version that serves or served as stable, since when, by which release."""

    version: str
    package: Ref
    checkpoint: Ref | None = None
    since: datetime
    trained_through: datetime | None = None
    release_id: str


class OpenRelease(Frozen):
    """The one release under way. `step` counts canary steps from 0; `held_from` is set only in HELD.

    `met` says whether some shopper was, or may have been, served by the candidate. `users` (both arms) is where an A/A
    ends, 0 for where the online gate plans to end. `changes` says what differs from the version that served when the
    release was opened, empty for a refresh. `differences` refers to the requests on which shadow found the candidate to
    differ too much from stable; a release that has them and is in SHADOW again was accepted as it is by a person.
    """

    release_id: str
    candidate: Candidate
    plan: Plan
    state: ReleaseState
    step: int = 0
    opened_at: datetime
    entered_at: datetime
    held_from: ReleaseState | None = None
    first: bool = False
    met: bool = False
    users: int = 0
    changes: tuple[str, ...] = ()
    differences: Ref | None = None
    reason: str = ""


class LedgerState(Frozen):
    """Everything a reader needs, folded from all entries so far.

    `epoch` is the sequence number of the last entry that changed the routes. `retiring` are versions that no route
    names any more and the server may unload once every live gateway has acknowledged `epoch`. `untold` is the sequence
    number of the newest entry that a person must still be told of, 0 for none.
    """

    seq: int = 0
    epoch: int = 0
    stable: Served | None = None
    previous: Served | None = None
    release: OpenRelease | None = None
    waiting: Candidate | None = None
    newest_trained_through: datetime | None = None
    last_release_id: str = ""
    last_state: ReleaseState | None = None
    retiring: tuple[str, ...] = ()
    frozen: str = ""
    untold: int = 0


class EventKind(StrEnum):
    """What an entry says happened."""

    ADOPTED = "adopted"
    CANDIDATE_RECORDED = "candidate_recorded"
    CANDIDATE_REFUSED = "candidate_refused"
    OPENED = "opened"
    MOVED = "moved"
    UNLOADED = "unloaded"
    FROZEN = "frozen"
    UNFROZEN = "unfrozen"
    TOLD = "told"


class LedgerEvent(Frozen):
    """One event before it has a place in the ledger.

    Which optional fields are set follows from `kind`: ADOPTED and CANDIDATE_RECORDED carry `candidate`;
    CANDIDATE_REFUSED the candidate that the offline gate turned down, with its `decision`, and changes nothing; OPENED
    carries `release_id`, `candidate`, `plan`, `to`, `changes` (`users` for an A/A); MOVED carries `release_id`, `to`
    (`step` for canary steps), the `decision` that it rests on, `differences` where shadow holds for them; UNLOADED
    carries `version`; FROZEN carries `reason`;
    TOLD says that a person has the card of the entry `untold`.
    """

    kind: EventKind
    reason: str = ""
    release_id: str = ""
    to: ReleaseState | None = None
    step: int = 0
    candidate: Candidate | None = None
    plan: Plan | None = None
    first: bool = False
    users: int = 0
    changes: tuple[str, ...] = ()
    version: str = ""
    decision: Decision | None = None
    differences: Ref | None = None


class LedgerEntry(Frozen):
    """An event in its place: numbered, timed, signed with the previous entry's hash, carrying the state after it."""

    schema_version: Literal[1] = 1
    recipe: str
    seq: int = Field(ge=1)
    at: datetime
    actor: str
    event: LedgerEvent
    state: LedgerState
    prev_hash: str

    @property
    def hash(self) -> str:
        """SHA-256 of the entry's canonical JSON; the next entry's `prev_hash`.

        Fields that a later version of recflow adds were not there when an old entry was signed, so they do not count.
        """
        return digest_json(self.model_dump(mode="json", exclude_unset=True))
