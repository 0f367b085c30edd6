"""What can go wrong, whether to try again, and which runbook to open.

RecflowError
├── TemporaryError            exit 75   try again
│   ├── StoreUnavailable      the object store did not answer
│   ├── SourceUnavailable     the shop's files or database did not answer
│   ├── StoreFull             no space left: nothing was published
│   ├── LedgerConflict        somebody else appended first: read again
│   ├── ServerUnavailable     the model server did not answer
│   │   └── AnswerMalformed   it answered with something else than a score an item
│   └── JobInterrupted        a job was killed or preempted: resume it
└── PermanentError            exit 1    trying again changes nothing
    ├── BadData               exit 65   the events of the interval are refused
    ├── BadConfiguration      exit 78   recipe or settings are wrong
    ├── RowsNotReleased       a person asked for rows of the quarantine that cannot be kept, or are not there
    ├── JudgeFailed           a data check could not be evaluated: nothing is known about the data
    ├── ArtifactCorrupt       bytes differ from their digest
    ├── TrainingDiverged      the loss is no number any more
    ├── ModelWontLoad         the server refuses the model, or its answers
    ├── ReleaseRefused        the ledger does not allow this step now
    ├── JobTooLong            exit 124  a job met the recipe's limit: cleared, it goes on from its last checkpoint
    └── JobFailed             a job ended with an error that is not in this table

Operators, retry policies and pods share the exit codes. Anything else that is raised is a bug and keeps its traceback.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

EXIT_DONE = 0
EXIT_BUG = 70
_MAX_PART = 600


class RecflowError(Exception):
    """A failure written for a stranger at night.

    The message is always in this order: what happened to which artifact, what was expected and seen, what happens
    next, what to do, runbook slug. Each part is cut to 600 characters: details belong in the report artifact.
    """

    exit_code: ClassVar[int] = 1
    runbook: ClassVar[str] = "unknown-failure"
    next_step: ClassVar[str] = "nothing was published and what serves now keeps serving"
    action: ClassVar[str] = "open the runbook"

    def __init__(self, what: str, *, expected: str = "", seen: str = "", then: str = "", action: str = "") -> None:
        self.what, self.expected, self.seen = what, expected, seen
        self.then = then or self.next_step
        self.what_to_do = action or self.action
        super().__init__(self.message)

    @property
    def parts(self) -> tuple[str, ...]:
        """The bounded sentences of the message, in the agreed order."""
        judged = f"Expected {_cut(self.expected)}, seen {_cut(self.seen)}." if self.expected or self.seen else ""
        parts = (
            f"{_cut(self.what)}.",
            judged,
            f"Next: {_cut(self.then)}.",
            f"Do: {_cut(self.what_to_do)}.",
            f"Runbook: docs/runbooks/{self.runbook}.md",
        )
        return tuple(part for part in parts if part)

    @property
    def message(self) -> str:
        """All parts, one after the other."""
        return " ".join(self.parts)

    def as_record(self) -> dict[str, str]:
        """What `from_record` makes this error from again, in another process."""
        told = {"what": self.what, "expected": self.expected, "seen": self.seen, "then": self.then}
        return {"error": type(self).__name__, **told, "action": self.what_to_do}


def _cut(text: str) -> str:
    text = text.rstrip(". \n")
    return text if len(text) <= _MAX_PART else text[: _MAX_PART - 1] + "…"


class TemporaryError(RecflowError):
    """Try again, by the caller's own policy."""

    exit_code = 75
    next_step = "the task is tried again"
    action = "nothing yet; open the runbook if the last try fails"


class StoreUnavailable(TemporaryError):
    """The object store did not answer, or answered with a server error."""

    runbook = "store-unavailable"


class SourceUnavailable(TemporaryError):
    """The shop's files or database did not answer, or went away while they were read."""

    runbook = "source-unavailable"


class StoreFull(TemporaryError):
    """There was no space for an object; no manifest was written, so nothing half-written can be seen."""

    runbook = "store-full"
    action = "free space (`recflow housekeeping RECIPE --at-once`), then let the task try again"


class LedgerConflict(TemporaryError):
    """Another writer appended this sequence number first."""

    runbook = "ledger-conflict"
    next_step = "the state is read again and the step decided afresh"


class ServerUnavailable(TemporaryError):
    """The model server did not answer in time."""

    runbook = "triton-down"
    next_step = "the gateway answers in lexical order until the server is back; the step is tried again"


class AnswerMalformed(ServerUnavailable):
    """A version answered with something else than one finite score an item: its own error, not the server's."""

    runbook = "model-wont-load"
    next_step = "the answer is not used and counts as an error of the version"


class JobInterrupted(TemporaryError):
    """A job was killed from outside; it resumes from its last checkpoint."""

    runbook = "job-interrupted"


class PermanentError(RecflowError):
    """Trying again changes nothing: a person or other input is needed."""


class BadData(PermanentError):
    """The interval's events break a blocking check or cannot be read."""

    exit_code = 65
    runbook = "bad-data"
    next_step = "nothing more is made of this interval; the stable model keeps serving"
    action = "mend the source for this interval, then clear the task"


class BadConfiguration(PermanentError):
    """A recipe or a setting is wrong; found before any work is done."""

    exit_code = 78
    runbook = "bad-configuration"
    next_step = "nothing was started"
    action = "mend the recipe (`recflow recipe check recipes/RECIPE.yaml`) or the setting"


class RowsNotReleased(PermanentError):
    """What a person asked to release from quarantine is not there, is released already, or cannot be kept."""

    runbook = "bad-data"
    next_step = "nothing was released"
    action = "look at `recflow quarantine show RECIPE DAY`"


class JudgeFailed(PermanentError):
    """A check of the data could not be evaluated. It says nothing about the data, good or bad."""

    runbook = "judge-failed"
    next_step = "the interval's partition is not published; the stable model keeps serving"
    action = "mend the check or the checker, then clear the task; the source needs no mending"


class ArtifactCorrupt(PermanentError):
    """Stored bytes differ from the digest they were published under."""

    runbook = "artifact-corrupt"
    next_step = "the artifact is not used"
    action = "compute it again: run the stage that made it, for its own interval, with a reason under `fresh`"


class TrainingDiverged(PermanentError):
    """The loss or a gradient is no finite number; more steps would only write a broken checkpoint."""

    runbook = "training-diverged"
    action = "lower training.learning_rate in the recipe, or train with precision: fp32"


class ModelWontLoad(PermanentError):
    """The model server refuses the model, or its answers differ from the golden ones."""

    runbook = "model-wont-load"
    next_step = "the release is rejected before any shopper sees it"


class ReleaseRefused(PermanentError):
    """The ledger's state does not allow the step that was asked for."""

    runbook = "release-refused"
    next_step = "the release stays as it is"
    action = "look at `recflow release history RECIPE`"


class JobTooLong(PermanentError):
    """A job took longer than the recipe allows; what it saved is kept."""

    exit_code = 124
    runbook = "job-too-long"
    action = "clear the task: it goes on from its last checkpoint; or give it longer by schedule.max_job_hours"


class JobFailed(PermanentError):
    """A job ended with an exit code outside the table above."""

    runbook = "job-failed"
    action = "read the end of the job's log above, and run the printed command by hand"


def from_record(record: Mapping[str, str]) -> RecflowError:
    """The error that another process wrote by `RecflowError.as_record`; KeyError for a record of another kind."""
    told = dict(record)
    name, what = told.pop("error"), told.pop("what")
    return {kind.__name__: kind for kind in _kinds(RecflowError)}[name](what, **told)


def _kinds(kind: type[RecflowError]) -> Iterator[type[RecflowError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)


def from_exit_code(code: int, what: str, seen: str) -> RecflowError:
    """The error that the exit code of a job stands for which left no word; `seen` is the end of its log."""
    seen = seen.strip()[-_MAX_PART:]
    if code == TemporaryError.exit_code or code < 0:
        return JobInterrupted(what, expected="exit code 0", seen=seen)
    known: dict[int, type[PermanentError]] = {kind.exit_code: kind for kind in (BadData, BadConfiguration, JobTooLong)}
    return known.get(code, JobFailed)(what, expected="exit code 0", seen=seen)
