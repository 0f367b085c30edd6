"""`recflow quarantine`: what is wrong with a day's rows, and what a person releases of them."""

import getpass
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

import typer

from recflow.data import review
from recflow.data.released import Released
from recflow.data.review import ReviewedDay
from recflow.domain.intervals import day_interval
from recflow.domain.reasons import refuse_long, refuse_unreadable
from recflow.errors import BadConfiguration, RowsNotReleased
from recflow.rollout.conflicts import retry_on_conflict
from recflow.wiring import Services, build_services

app = typer.Typer(help="Show and release the rows of a day that checks refuse.", no_args_is_help=True)

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe, or path of its file.")]
Day = Annotated[str, typer.Argument(metavar="DAY", help="The day in the recipe's time zone, as 2011-01-04.")]
Because = Annotated[str, typer.Option("--because", help="Why; it is kept with the release.")]
Person = Annotated[str, typer.Option("--by", help="Who; default: the user of this process.")]

Choose = Callable[[ReviewedDay], dict[str, Any]]
_LONGEST_VALUE = 60  # characters of a value that are printed


@app.command()
def show(
    recipe: RecipeName,
    day: Day,
    *,
    reason: Annotated[str, typer.Option(help="Only rows that this check refuses.")] = "",
    limit: Annotated[int, typer.Option(min=0, max=100_000, help="Rows shown at most.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """What refuses a day, its rows in quarantine with their reasons, and what was released of them."""
    services = build_services()
    found = _review(services, recipe, day)
    counts, rows = found.counts(), list(found.rows(reason, limit))
    if as_json:
        print(json.dumps(_as_json(found, counts, rows), ensure_ascii=True, indent=1))
        return
    _print_day(found)
    _print_counts(counts)
    for row in rows:
        _print_row(row)
    matching = counts[reason]
    if matching > len(rows):
        print(f"{matching - len(rows):,} more: --limit {min(matching, 100_000)}")


@app.command()
def release(
    recipe: RecipeName,
    day: Day,
    *,
    because: Because,
    rows: Annotated[list[str] | None, typer.Option(metavar="FILE:ROW", help="A row, as `show` names it.")] = None,
    reason: Annotated[list[str] | None, typer.Option(metavar="NAME", help="All rows that only this refuses.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All rows that a partition can hold.")] = False,
    whole_day: Annotated[bool, typer.Option("--day", help="The day, despite all that refuses it as a whole.")] = False,
    by: Person = "",
) -> None:
    """Keep rows, or a refused day, in the next build of this delivery. A new delivery is judged without it."""
    if sum(map(bool, (rows, reason, everything, whole_day))) != 1:
        raise BadConfiguration("nothing was released", expected="one of --rows, --reason, --all, --day", seen="others")
    choose: Choose = partial(review.choose_checks, names=reason or ())
    if whole_day:
        choose = review.choose_day
    elif rows:
        choose = partial(review.choose_rows, places=[_place(row) for row in rows])
    _act(recipe, day, choose, because, by)


@app.command()
def withdraw(
    recipe: RecipeName,
    day: Day,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="The release, as `show` numbers it.")],
    *,
    because: Because,
    by: Person = "",
) -> None:
    """Let a release count no more from the next build on."""
    _act(recipe, day, partial(review.choose_withdrawal, seq=number), because, by)


def _act(recipe: str, day: str, choose: Choose, because: str, by: str) -> None:
    person = by or getpass.getuser()
    for text, what in ((because, "the reason"), (person, "the person")):
        refuse_long(text, "the quarantine", RowsNotReleased)
        refuse_unreadable(text, what, RowsNotReleased)
    services = build_services()

    def act() -> tuple[ReviewedDay, Released]:
        found = _review(services, recipe, day)
        what = choose(found)
        return found, review.release(
            services.artifacts, found, what, at=services.clock.now(), person=person, because=because
        )

    found, done = retry_on_conflict(act)
    print(f"{found.recipe} {found.label}: release {done.seq} by {done.person}: {done.what}")
    kept = review.kept_next(found, [*found.counting, done])
    if done.rows or done.checks:
        print(f"the next build keeps {kept:,} of {found.counts()['']:,} rows in quarantine")
    print(f"now clear validate_partition of {found.label}: the day is computed again")


def _review(services: Services, recipe: str, day: str) -> ReviewedDay:
    plan = services.recipe(recipe)
    return review.review_day(services.artifacts, plan.name, day_interval(day, plan.schedule.timezone).label)


def _place(text: str) -> tuple[str, int]:
    file, _, row = text.rpartition(":")
    if not file or not row.isdecimal() or len(row) > len(str(2**63)) - 1:
        raise BadConfiguration("a row cannot be told", expected="FILE:ROW, as feed.csv:17", seen=text)
    return file, int(row)


def _as_json(found: ReviewedDay, counts: Mapping[str, int], rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "recipe": found.recipe,
        "day": found.label,
        "kind": found.ref.kind,
        "uri": found.ref.uri,
        "delivery": found.delivery,
        "refusals": found.report.get("refusals", []),
        "quarantined": counts[""],
        "reasons": {name: count for name, count in counts.items() if name},
        "released": [act.model_dump(mode="json") | {"counts": act in found.counting} for act in found.acts],
        "rows": rows,
    }


def _print_day(found: ReviewedDay) -> None:
    refused = found.report.get("refusals", [])
    made = f"{found.manifest.created_at:%Y-%m-%d %H:%M:%S}"
    kind = "refused" if refused else "partition"
    print(f"{found.recipe} {found.label}: {kind} of {made}, delivery {found.delivery[:12]}")
    for refusal in refused:
        print(f"  {refusal['name']}: {_readable(refusal['what'], 300)}")
        print(f"    expected {_readable(refusal['expected'], 300)}, seen {_readable(refusal['seen'], 300)}")
        print(f"    do: {_readable(refusal['action'], 300)}")
    for act in found.acts:
        counts = "" if act in found.counting or act.withdraws else "  (counts no more)"
        print(f"  release {act.seq}  {act.at:%Y-%m-%d %H:%M:%S}  {act.person:<12} {act.what}: {act.because}{counts}")
    print(f"  report and Data Docs: {found.folder}")


def _print_counts(counts: Mapping[str, int]) -> None:
    print(f"{counts['']:,} rows in quarantine")
    for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if name:
            print(f"  {count:>9,}  {name}")


def _print_row(row: Mapping[str, Any]) -> None:
    kept = "" if row["releasable"] else "  (cannot be released)"
    print(f"{_readable(row['source_file'], 200)}:{row['source_row']}  {', '.join(row['reasons'])}{kept}")
    told = {name: value for name, value in row.items() if value is not None and name not in _NOT_VALUES}
    print("    " + "  ".join(f"{name}={_readable(value, _LONGEST_VALUE)}" for name, value in told.items()))


_NOT_VALUES = frozenset({"source_file", "source_row", "reasons", "releasable"})


def _readable(value: object, longest: int) -> str:
    """A value on one line, with signs that a terminal would obey as their escapes."""
    text = str(value)
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text[:longest])
    return shown if len(text) <= longest else f"{shown}…"
