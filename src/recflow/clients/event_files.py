"""The files of the event log at one moment, and how a Parquet file gets there.

    <folder>/segments/<worker>-<opened at>-<random>.jsonl                      one line a record
    <folder>/parquet/recipe=<r>/kind=<exposure|outcome|comparison>/day=<UTC>/<segment>.parquet
    <folder>/facts/v<rule>/recipe=<r>/kind=<exposure|outcome>/day=<UTC>/<segment>.parquet
    <folder>/sums/v<rule>/recipe=<r>/kind=<exposure|outcome>/<window and its files of facts>.parquet

A file of facts stands for the file of records of the same name, and is made anew when it is missing. Sums stand for
exactly the window and the files of facts that their name was made of: when one comes late, they are made anew.
"""

import os
import uuid
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recflow.artifacts.digests import digest_json
from recflow.clients.event_records import WITH_FACTS
from recflow.domain.matching import VERSION

RECORDS, FACTS, SUMS = "parquet", f"facts/v{VERSION}", f"sums/v{VERSION}"
_KEPT_SUMS = 4


class EventFiles:
    """Segments, and the Parquet files that are no copies of them.

    A compaction removes a segment when its Parquet is complete. Here segments are opened before Parquet is listed, and
    an open file can still be read after it was removed: each record is found once, whatever a compaction does.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self.segments: list[str] = []
        self._copied: set[str] = set()
        for path in listed(folder / "segments", suffix=".jsonl"):
            try:
                file = stack.enter_context(path.open("rb"))
            except FileNotFoundError:
                continue
            self.segments.append(f"/dev/fd/{file.fileno()}")
            self._copied.add(path.stem)

    def records(self, recipe: str, kind: str, start: datetime | None = None, end: datetime | None = None) -> list[Path]:
        """Parquet files of records whose day touches the window; None: open at that end."""
        return self._parts(RECORDS, recipe, kind, start, end)

    def facts(
        self, recipe: str, kind: str, start: datetime | None = None, end: datetime | None = None
    ) -> tuple[list[Path], list[Path]]:
        """Files of facts, and files of records that have none yet."""
        made = self._parts(FACTS, recipe, kind, start, end)
        named = {part.parts[-2:] for part in made}
        return made, [part for part in self.records(recipe, kind, start, end) if part.parts[-2:] not in named]

    def _parts(self, tree: str, recipe: str, kind: str, start: datetime | None, end: datetime | None) -> list[Path]:
        first, last = (day_folder(moment) if moment else None for moment in (start, end))
        return [
            path
            for folder in listed(kind_folder(self._folder / tree, recipe, kind), prefix="day=")
            if (first is None or first <= folder.name) and (last is None or folder.name <= last)
            for path in listed(folder, suffix=".parquet")
            if path.stem not in self._copied
        ]

    def lack_facts(self) -> bool:
        """Whether any file of records has no facts yet."""
        return any(self.facts(recipe, kind.name)[1] for recipe in self.recipes() for kind in WITH_FACTS)

    def recipes(self) -> list[str]:
        """Recipes with records in Parquet."""
        return [folder.name.removeprefix("recipe=") for folder in listed(self._folder / RECORDS, prefix="recipe=")]

    def facts_of(self, part: Path) -> Path:
        """Where the facts of a file of records are."""
        return self._folder.joinpath(FACTS, *part.parts[-4:])

    def sums_of(self, facts: Sequence[Path], window: tuple[datetime, datetime]) -> Path:
        """Where the sums of files of facts are; for other files, or files made anew, they are elsewhere."""
        made_of = [[part.parent.name, part.name, part.stat().st_mtime_ns] for part in facts]
        folder = self._folder.joinpath(SUMS, *facts[0].parts[-4:-2])
        times = [moment.astimezone(UTC).isoformat() for moment in window]
        return folder / f"{digest_json([times, made_of])}.parquet"


def listed(folder: Path, *, prefix: str = "", suffix: str = "") -> list[Path]:
    """What is in a folder, sorted, without hidden files; nothing where there is none.

    Unlike `Path.glob`, which skips in silence what it may not read, it raises OSError.
    """
    try:
        found = [path for path in folder.iterdir() if path.name.startswith(prefix) and path.name.endswith(suffix)]
    except FileNotFoundError:
        return []
    return sorted((path for path in found if not path.name.startswith(".")), key=lambda path: path.name)


def forget_old_sums(folder: Path) -> None:
    """Remove all but the newest: a look may be about to read those just replaced."""
    made = listed(folder, suffix=".parquet")
    for path in sorted(made, key=lambda path: path.stat().st_mtime_ns)[:-_KEPT_SUMS]:
        path.unlink()


def kind_folder(tree: Path, recipe: str, kind: str) -> Path:
    """The folder of a recipe's records, or facts, of one kind."""
    return tree / f"recipe={recipe}" / f"kind={kind}"


def day_folder(moment: datetime) -> str:
    """The name of a UTC day's folder; names sort as their days."""
    return f"day={moment.astimezone(UTC):%Y-%m-%d}"


def publish(rows: pa.Table, path: Path) -> None:
    """The file appears whole or not at all, and is on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.parent / f".{uuid.uuid4().hex}"
    try:
        pq.write_table(rows, hidden, compression="zstd")
        _sync(hidden)
        hidden.replace(path)
        _sync(path.parent)
    finally:
        hidden.unlink(missing_ok=True)


def erase_users(part: Path, user_keys: Collection[str]) -> None:
    """Write a file of comparisons anew, with what it holds of these users emptied and marked."""
    rows = pq.ParquetFile(part).read()
    theirs = pc.is_in(rows["user_key"], pa.array(user_keys, pa.string()))
    if not pc.any(theirs).as_py():
        return
    for name, value in (("user_key", ""), ("query", ""), ("items", []), ("erased", True)):
        place, column = rows.schema.get_field_index(name), rows[name]
        rows = rows.set_column(place, name, pc.if_else(theirs, pa.scalar(value, column.type), column))
    publish(rows, part)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
