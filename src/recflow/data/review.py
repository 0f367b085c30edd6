"""A person's look at a day's quarantine: what is in it and why, and what of it may be released."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from recflow.artifacts.manifests import Manifest
from recflow.artifacts.refs import Ref, RefKind
from recflow.data.checks import NEVER_RELEASED
from recflow.data.heads import HeadHistory
from recflow.data.released import Released, ReleasedHistory, ReleasedRow, counting
from recflow.data.rows import PLACE, QUARANTINE
from recflow.errors import RowsNotReleased
from recflow.storage import MANIFEST, ArtifactStore

_BATCH_ROWS = 65_536


@dataclass(frozen=True)
class ReviewedDay:
    """What was made last of a day: its partition or its refusal, and every act on its quarantine, oldest first."""

    recipe: str
    ref: Ref
    manifest: Manifest
    report: Mapping[str, Any]
    acts: tuple[Released, ...]
    folder: Path

    @property
    def label(self) -> str:
        """The day."""
        return self.manifest.interval.label

    @property
    def delivery(self) -> str:
        """The digest of the delivery that it was made of."""
        return self.manifest.inputs["source"][0].digest

    @property
    def counting(self) -> list[Released]:
        """What is released of this delivery."""
        return counting(self.acts, self.delivery)

    def rows(self, reason: str = "", limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Rows in quarantine as they were delivered, masked; those with a reason when one is given."""
        found = (row for batch in self.batches() for row in _with_reason(batch, reason).slice(0, limit).to_pylist())
        return islice(found, limit)

    def counts(self) -> Counter[str]:
        """How many rows in quarantine have each reason, and under "" how many rows there are."""
        counts: Counter[str] = Counter()
        for batch in self.batches():
            counts[""] += batch.num_rows
            for found in pc.value_counts(batch["reasons"].flatten()).to_pylist():
                counts[found["values"]] += found["counts"]
        return counts

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The quarantine, some rows at a time; none of a day whose rows were never judged."""
        path = self.folder / QUARANTINE
        if not path.exists():
            return
        rows = ds.dataset(path)
        if "releasable" not in rows.schema.names:  # written before rows could be released
            rows = ds.dataset(path, schema=rows.schema.append(pa.field("releasable", pa.bool_())))
        yield from rows.to_batches(batch_size=_BATCH_ROWS)


def review_day(artifacts: ArtifactStore, recipe: str, label: str) -> ReviewedDay:
    """The newer one of the day's current partition and its last refusal; RowsNotReleased for a day without either."""
    head = HeadHistory(artifacts.store, recipe).current(label)
    made = [(head.partition, artifacts.manifest(head.partition))] if head else []
    made += [found for found in _refusals(artifacts, recipe) if found[1].interval.label == label]
    if not made:
        raise RowsNotReleased(
            f"{recipe} has no day {label}",
            expected="a day that was validated or refused",
            seen="neither",
            action="run validate_partition for the day first",
        )
    ref, manifest = max(made, key=lambda found: found[1].created_at)
    folder = artifacts.fetch(ref)
    report = json.loads((folder / "validation.json").read_bytes())
    acts = tuple(ReleasedHistory(artifacts.store, recipe).acts(label))
    return ReviewedDay(recipe, ref, manifest, report, acts, folder)


def _refusals(artifacts: ArtifactStore, recipe: str) -> Iterator[tuple[Ref, Manifest]]:
    for key in artifacts.store.list(f"{recipe}/{RefKind.REFUSAL.folder}/"):
        parts = key.split("/")
        if len(parts) == 4 and parts[-1] == MANIFEST and (found := artifacts.find(recipe, RefKind.REFUSAL, parts[2])):
            yield found


def _with_reason(batch: pa.RecordBatch, reason: str) -> pa.RecordBatch:
    return batch.filter(_any(batch, pc.equal(batch["reasons"].flatten(), reason))) if reason else batch


def _any(batch: pa.RecordBatch, of_reasons: pa.Array) -> pa.Array:
    """For each row whether the condition, given for each reason of each row, holds for one of its reasons."""
    rows = pc.list_parent_indices(batch["reasons"]).filter(of_reasons)
    return pc.is_in(pa.array(range(batch.num_rows), rows.type), value_set=rows)


def choose_rows(day: ReviewedDay, places: Iterable[tuple[str, int]]) -> dict[str, Any]:
    """The release of single rows, each from the checks that refuse it.

    RowsNotReleased for a row that is not in quarantine, cannot be kept, or is released already.
    """
    wanted = set(places)
    found = {(row["source_file"], row["source_row"]): row for row in _at(day, wanted)}
    if missing := sorted(wanted - found.keys()):
        raise _refused(day, f"{_place(*missing[0])} is not in quarantine", "a row that `quarantine show` lists")
    for row in found.values():
        _refuse_unfit(day, row)
        if by := next((act for act in day.counting if _covers(act, row)), None):
            raise _refused(day, f"{_place(*(row[name] for name in PLACE))} is released already", "once", _by(by))
    rows = [
        ReleasedRow(source_file=file, source_row=row, checks=found[file, row]["reasons"]) for file, row in sorted(found)
    ]
    return {"rows": tuple(rows)}


def _at(day: ReviewedDay, places: set[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    numbers = pa.array({row for _, row in places}, pa.int64())
    for batch in day.batches():
        for row in batch.filter(pc.is_in(batch["source_row"], value_set=numbers)).to_pylist():
            if (row["source_file"], row["source_row"]) in places:
                yield row


def _refuse_unfit(day: ReviewedDay, row: Mapping[str, Any]) -> None:
    if not row["releasable"]:
        reasons = [name for name in row["reasons"] if name in NEVER_RELEASED] or row["reasons"]
        place = _place(*(row[name] for name in PLACE))
        raise _refused(day, f"{place} cannot be kept", "a row that a partition can hold", ", ".join(reasons))


def _covers(act: Released, row: Mapping[str, Any]) -> bool:
    place = tuple(row[name] for name in PLACE)
    named = {check for one in act.rows if (one.source_file, one.source_row) == place for check in one.checks}
    return set(row["reasons"]) <= named | set(act.checks)


def choose_checks(day: ReviewedDay, names: Sequence[str]) -> dict[str, Any]:
    """The release of all rows from checks; without names from all that can be released.

    RowsNotReleased for a check that refuses no row, whose rows cannot be kept, or that is released already.
    """
    counts = day.counts()
    released = {check: act for act in day.counting for check in act.checks}
    for name in names:
        if name not in counts:
            seen = ", ".join(sorted(filter(None, counts))) or "no row in quarantine"
            raise _refused(day, f"no row is in quarantine for {name}", "a reason that `quarantine show` counts", seen)
        if name in NEVER_RELEASED:
            raise _refused(day, f"rows with {name} cannot be kept", "rows that a partition can hold", name)
        if name in released:
            raise _refused(day, f"{name} is released already", "once", _by(released[name]))
    chosen = names or sorted(filter(None, counts.keys() - released.keys() - set(NEVER_RELEASED)))
    if not chosen:
        raise _refused(day, "no row can be released", "rows that a partition can hold", _counted(counts))
    return {"checks": tuple(chosen)}


def choose_day(day: ReviewedDay) -> dict[str, Any]:
    """The acceptance of all that refuses the day as a whole; RowsNotReleased where something cannot be accepted."""
    refusals = day.report.get("refusals")
    if not refusals:
        raise _refused(day, "the day is not refused", "a refused day", "a partition")
    if never := [refusal for refusal in refusals if not refusal["acceptable"]]:
        raise _refused(day, "the day cannot be kept as it is", "a day that can be read", never[0]["what"])
    names = {refusal["name"] for refusal in refusals}
    if by := next((act for act in day.counting if names <= set(act.refusals)), None):
        raise _refused(day, "the day is released already", "once", _by(by))
    return {"refusals": tuple(sorted(names))}


def kept_next(day: ReviewedDay, acts: Sequence[Released]) -> int:
    """How many rows of the quarantine the next build keeps by these acts."""
    checks = pa.array([*{check for act in acts for check in act.checks}], pa.string())
    whole, single = 0, {(row.source_file, row.source_row) for act in acts for row in act.rows}
    for batch in day.batches():
        still = _any(batch, pc.invert(pc.is_in(batch["reasons"].flatten(), value_set=checks)))
        by_checks = pc.and_(batch["releasable"], pc.invert(still))
        whole += pc.sum(by_checks).as_py() or 0
        if single:
            left = batch.filter(pc.invert(by_checks)).select(list(PLACE))
            whole += sum((row["source_file"], row["source_row"]) in single for row in left.to_pylist())
    return whole


def release(
    artifacts: ArtifactStore, day: ReviewedDay, what: Mapping[str, Any], *, at: datetime, person: str, because: str
) -> Released:
    """Keep an act on the reviewed day; LedgerConflict when somebody else has acted since it was read."""
    seq = day.acts[-1].seq + 1 if day.acts else 1
    act = Released(seq=seq, at=at, delivery=day.delivery, person=person, because=because, **what)
    ReleasedHistory(artifacts.store, day.recipe).append(day.label, act)
    return act


def choose_withdrawal(day: ReviewedDay, seq: int) -> dict[str, Any]:
    """The withdrawal of an act; RowsNotReleased for one that does not count."""
    known = [act.seq for act in day.counting]
    if seq not in known:
        seen = ", ".join(map(str, known)) or "none that counts for this delivery"
        raise _refused(day, f"release {seq} cannot be withdrawn", "the number of a release that counts", seen)
    return {"withdraws": seq}


def _refused(day: ReviewedDay, what: str, expected: str, seen: str = "no such row") -> RowsNotReleased:
    action = f"look at `recflow quarantine show {day.recipe} {day.label}`"
    return RowsNotReleased(f"{day.recipe} {day.label}: {what}", expected=expected, seen=seen, action=action)


def _by(act: Released) -> str:
    return f"release {act.seq} by {act.person}: {act.because}"


def _place(file: str, row: int) -> str:
    return f"{file}:{row}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()) if name) or "an empty quarantine"
