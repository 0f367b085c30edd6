"""Rows and days that a person released for the next build of a day: who, why and of which delivery."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from pydantic import Field

from recflow.artifacts.digests import digest_json
from recflow.artifacts.frozen import Frozen
from recflow.artifacts.refs import Ref, RefKind
from recflow.errors import LedgerConflict, PermanentError
from recflow.protocols import ObjectStore


class ReleasedRow(Frozen):
    """A row by the place it was delivered at, and the checks that do not refuse it any more."""

    source_file: str
    source_row: int
    checks: tuple[str, ...]


class Released(Frozen):
    """One act of a person: rows, checks for all rows of the delivery, refusals of the day, or an act withdrawn.

    It counts for the delivery with this digest only.
    """

    seq: int
    at: datetime
    delivery: str = Field(pattern=r"^[0-9a-f]{64}$")
    person: str
    because: str
    rows: tuple[ReleasedRow, ...] = ()
    checks: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    withdraws: int | None = None

    @property
    def what(self) -> str:
        """What it is about, for a person."""
        parts = [f"{len(self.rows):,} rows"] if self.rows else []
        parts += [f"rows refused by {', '.join(self.checks)}"] if self.checks else []
        parts += [f"the day despite {', '.join(self.refusals)}"] if self.refusals else []
        parts += [f"withdraws {self.withdraws}"] if self.withdraws else []
        return "; ".join(parts)


class ReleasedHistory:
    """Acts of one recipe: `<recipe>/quarantine/released/<day>/<seq>.json`, each written once, `seq` from 1."""

    def __init__(self, store: ObjectStore, recipe: str) -> None:
        self._store, self._prefix = store, f"{recipe}/quarantine/released"

    def acts(self, label: str) -> list[Released]:
        """All acts on a day, oldest first."""
        data = [self._store.get(key) for key in self._store.list(f"{self._prefix}/{label}/")]
        return [Released.model_validate_json(act) for act in data if act]

    def append(self, label: str, act: Released) -> None:
        """Keep an act whose `seq` follows those that were read; LedgerConflict when somebody else was first."""
        if not self._store.put(
            f"{self._prefix}/{label}/{act.seq:06d}.json", act.model_dump_json().encode(), if_absent=True
        ):
            raise LedgerConflict(f"somebody else released rows of {label} just now")

    def pin(self, label: str, source: Ref) -> dict[str, tuple[Ref, ...]]:
        """The inputs of the validation of a pinned source: it, and what is released of this delivery, if anything.

        How much was released of other deliveries, and counts no more, stands in the source's numbers.
        """
        acts = self.acts(label)
        found = counting(acts, source.digest)
        if others := sum(act.delivery != source.digest and act.withdraws is None for act in acts):
            source = source.model_copy(update={"numbers": source.numbers | {"released_of_other_deliveries": others}})
        if not found:
            return {"source": (source,)}
        uri, numbers = f"{self._store.root}/{self._prefix}/{label}", {"through": acts[-1].seq}
        released = Ref(kind=RefKind.RELEASED, uri=uri, digest=_digest(found), numbers=dict(numbers))
        return {"source": (source,), "released": (released,)}

    def read(self, label: str, delivery: str, pinned: Ref) -> list[Released]:
        """The acts that were pinned, whatever was added since."""
        through = pinned.numbers["through"]
        assert isinstance(through, int)
        found = counting([act for act in self.acts(label) if act.seq <= through], delivery)
        if _digest(found) != pinned.digest:
            raise PermanentError(
                f"what was released of {label} is not what was pinned", expected=pinned.short, seen=_digest(found)[:12]
            )
        return found


def counting(acts: Sequence[Released], delivery: str) -> list[Released]:
    """The acts that count for a delivery: made for it, and not withdrawn."""
    withdrawn = {act.withdraws for act in acts}
    return [act for act in acts if act.delivery == delivery and act.withdraws is None and act.seq not in withdrawn]


def _digest(acts: Iterable[Released]) -> str:
    return digest_json([act.model_dump(mode="json") for act in acts])
