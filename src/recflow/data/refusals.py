"""Why a whole day is refused: every reason that is found, told together, and which of them a person has accepted."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from recflow.engine import CannotCompute
from recflow.errors import BadData, RecflowError

_UNREADABLE = "cannot_be_read"


@dataclass(frozen=True)
class Refusal:
    """One reason to refuse a day. A person may accept it by its `name`, if the day can be kept at all."""

    name: str
    error: BadData
    acceptable: bool = True

    def as_report(self) -> dict[str, Any]:
        """As it stands in a day's report."""
        told = {"what": self.error.what, "expected": self.error.expected, "seen": self.error.seen}
        return {"name": self.name, **told, "action": self.error.what_to_do, "acceptable": self.acceptable}


@dataclass
class Findings:
    """What is known of a day so far: its report, which grows while the day is looked at, and what refuses it.

    `names` are the refusals that a person has accepted for this delivery.
    """

    names: Collection[str] = ()
    report: dict[str, Any] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    accepted: list[Refusal] = field(default_factory=list)

    def refuse(self, *refusals: Refusal | None) -> None:
        """Take up what speaks against the day; None is nothing."""
        for refusal in filter(None, refusals):
            accepted = refusal.acceptable and refusal.name in self.names
            (self.accepted if accepted else self.refusals).append(refusal)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """What is done inside looks at the day. It ends early where the day cannot be read.

        A failure of another kind passes while nothing refuses the day; else it stands in the report.
        """
        try:
            yield
        except BadData as error:
            self.refuse(Refusal(_UNREADABLE, error, acceptable=False))
        except (RecflowError, CannotCompute, OSError) as error:
            if not self.refusals:
                raise
            self.report["ended_early"] = str(error)

    def close(self) -> dict[str, Any]:
        """The report, with what refuses the day and what was accepted."""
        self.report["refusals"] = [refusal.as_report() for refusal in self.refusals]
        self.report["accepted"] = [refusal.as_report() for refusal in self.accepted]
        return self.report

    def error(self, recipe: str, label: str) -> BadData | None:
        """All refusals as one error, None when nothing refuses the day."""
        if not self.refusals:
            return None
        first = self.refusals[0].error
        return BadData(
            "; also: ".join(refusal.error.what for refusal in self.refusals),
            expected=first.expected,
            seen=first.seen,
            action=f"{first.what_to_do}; `recflow quarantine show {recipe} {label}` tells all that was found",
        )
