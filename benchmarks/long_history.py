"""What a year of days costs: a day that is delivered again, and the data set of the newest day.

The days are generated, and the partitions of the past are written as validation would write them. Each job runs in a
process of its own, in turn with the one it is compared with; what is imported is not counted.
"""

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import rmtree
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recflow.artifacts.manifests import Interval, Manifest
from recflow.artifacts.parents import Parent
from recflow.artifacts.refs import Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.config.settings import Settings
from recflow.data.rows import CARRIED, COLUMNS, PARTITION
from recflow.data.spec import VALIDATE_PARTITION
from recflow.stages import StageContext, StageOutput
from recflow.storage import list_files
from recflow.wiring import Services, finish_stage, look_at_days_before, run_stage, stage_call

YEAR, MONTH, QUERIES, SHOWN, TRIES = 365, 30, 50, 9, 3
REDELIVERY_TARGET, DATASET_TARGET = 1.5, 1.2
FIRST = datetime(2011, 1, 1, tzinfo=UTC)
EVENTS = {"files": ["{date:%Y-%m-%d}.parquet"], "columns": {name: name for name in COLUMNS if name != "grade"}}
RECIPE = Recipe.model_validate(
    {"name": "bench", "owner": "benchmarks", "data": {"source": {"adapter": "tables", "events": [EVENTS]}}}
)


def _day(number: int) -> Interval:
    """The interval of a day, counted from 1."""
    start = FIRST + timedelta(days=number - 1)
    return Interval(label=f"{start:%Y-%m-%d}", start=start, end=start + timedelta(days=1))


def _events(number: int, searches: int) -> pa.Table:
    """A day of searches, each of one query's items and a click on one of them, as text."""
    event = np.arange(searches * (SHOWN + 1))
    search, place = event // (SHOWN + 1), event % (SHOWN + 1)
    clicked = place == SHOWN
    position = np.where(clicked, search % SHOWN, place) + 1
    item = np.char.add((search % QUERIES).astype(str), np.char.add("-", position.astype(str)))
    at = np.datetime64(_day(number).label) + (search * 86_000 // searches + clicked).astype("timedelta64[s]")
    texts = {
        "event_id": event.astype(str),
        "at": np.char.add(np.datetime_as_string(at), "+00:00"),
        "kind": np.where(clicked, "click", "impression"),
        "request_id": search.astype(str),
        "user_key": np.char.add("u", (search % max(1, searches // 5)).astype(str)),
        "query": np.char.add("what shoppers call thing ", (search % QUERIES).astype(str)),
        "item_id": item,
        "title": np.char.add("The red thing of leather, number ", item),
        "description": np.char.add("Made by hand, washable. Its number is ", item),
        "position": position.astype(str),
        "value": np.where(clicked, "1", "0"),
    }
    return pa.table({name: pa.array(values) for name, values in texts.items()})


def _services(folder: Path) -> Services:
    return Services(Settings(home=folder / "home", source_root=folder))


def _deliver(folder: Path, number: int, searches: int) -> None:
    pq.write_table(_events(number, searches), folder / f"{_day(number).label}.parquet")


def _keep(folder: Path, number: int, searches: int) -> None:
    """Deliver a day and make its partition current, without judging it."""
    _deliver(folder, number, searches)
    services = _services(folder)
    call = stage_call(services, "validate_partition", RECIPE, _day(number), {})

    def kept(context: StageContext) -> StageOutput:
        rows = _events(number, searches)
        nothing = pa.nulls(rows.num_rows, pa.string())
        columns = [rows[name] if name in rows.column_names else nothing for name in (*COLUMNS, *CARRIED)]
        typed = pa.table([values.cast(field.type) for values, field in zip(columns, PARTITION, strict=True)], PARTITION)
        pq.write_table(typed, context.output / "rows.parquet")
        return StageOutput(numbers={"rows": rows.num_rows, "rows_in": rows.num_rows})

    ref = services.runner.run(VALIDATE_PARTITION, kept, RECIPE, call.interval, call.inputs)
    assert ref is not None
    finish_stage(services, call, ref)


def _validate(services: Services, interval: Interval) -> None:
    call = stage_call(services, "validate_partition", RECIPE, interval, {})
    finish_stage(services, call, run_stage(services, call))


def first_delivery(folder: Path, number: int) -> None:
    """Validate a day that nothing was kept of."""
    _validate(_services(folder), _day(number))


def redelivery(folder: Path, number: int) -> None:
    """The look of the day after, and what it finds validated again."""
    services, today = _services(folder), _day(number)
    look = look_at_days_before(services, RECIPE, today)
    assert look.again == (_day(number - 1).label,), look
    _validate(services, _day(number - 1))


def look(folder: Path, number: int) -> None:
    """The look of a day before which nothing changed."""
    assert look_at_days_before(_services(folder), RECIPE, _day(number)).again == ()


def dataset(folder: Path, number: int) -> None:
    """Build the data set of a day whose parent has learned from all days before."""
    services, interval = _services(folder), _day(number)
    parent = _parent(services, interval)
    call = stage_call(
        services, "build_dataset", RECIPE, interval, {"parent": parent, "partition": parent}, fresh="bench"
    )
    ref = run_stage(services, call)
    assert len(services.artifacts.manifest(ref).inputs["partitions"]) == RECIPE.split.evaluation_days, ref


def _parent(services: Services, interval: Interval) -> Ref:
    with TemporaryDirectory() as scratch:
        (Path(scratch) / "parent.json").write_text(Parent(trained_through=interval.start).model_dump_json())
        manifest = Manifest(
            kind=RefKind.PARENT, recipe=RECIPE.name, stage="bench", stage_version=1, key=interval.label, attempt="only",
            interval=interval, inputs={}, files=list_files(Path(scratch)), numbers={}, reusable=True, created_at=FIRST,
        )  # fmt: skip
        return services.artifacts.publish(manifest, Path(scratch))


JOBS = {job.__name__: job for job in (first_delivery, redelivery, look, dataset)}


def _timed(name: str, folder: Path, number: int) -> float:
    """Seconds of a job whose partitions are not in this host's cache."""
    import datasets  # noqa: F401 - imported before the clock runs
    import great_expectations  # noqa: F401

    rmtree(folder / "home" / "cache", ignore_errors=True)
    job = JOBS[name]
    started = time.monotonic()
    job(folder, number)
    return time.monotonic() - started


def _alone(name: str, folder: Path, number: int) -> float:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_timed, name, folder, number).result()


def _pairs(root: Path, year: int, searches: int) -> Iterator[dict[str, float]]:
    """The seconds of every job, several times."""
    history = root / "history"
    for number in range(TRIES):
        first = root / f"first-{number}"
        first.mkdir()
        _deliver(first, year, searches)
        found = {"first": _alone("first_delivery", first, year), "look": _alone("look", history, year + 1)}
        _deliver(history, year, searches - 1 - number)
        found["again"] = _alone("redelivery", history, year + 1)
        found |= {"month": _alone("dataset", history, MONTH), "year": _alone("dataset", history, year)}
        yield found


def measure(quick: bool) -> list[dict[str, Any]]:
    """Both figures, on days of 20,000 events; of a history of 40 small days when quick."""
    year, searches = (MONTH + 10, 400) if quick else (YEAR, 2_000)
    with TemporaryDirectory(prefix="long-history-") as folder:
        history = Path(folder) / "history"
        history.mkdir()
        for number in range(1, year + 1):
            _keep(history, number, searches)
        tries = list(_pairs(Path(folder), year, searches))
    seconds = {name: median(found[name] for found in tries) for name in tries[0]}
    return [
        _figure("redelivery_in_a_year", seconds, ("again", "first"), REDELIVERY_TARGET)
        | {
            "against": f"the first delivery of a day, alone: {seconds['first']:.1f} s",
            "look_s": round(seconds["look"], 2),
        },
        _figure("dataset_of_day_365", seconds, ("year", "month"), DATASET_TARGET)
        | {"against": f"the data set of day {MONTH}: {seconds['month']:.1f} s"},
    ]


def _figure(name: str, seconds: dict[str, float], pair: tuple[str, str], target: float) -> dict[str, Any]:
    longer, shorter = (seconds[one] for one in pair)
    value = round(longer / shorter, 2)
    return {
        "name": name,
        "value": value,
        "unit": "times as long",
        "target": target,
        "better": "lower",
        "wall_s": round(longer, 1),
    }
