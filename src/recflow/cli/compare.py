"""`recflow compare`: what a person reads before a candidate is worth a release."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recflow.errors import BadConfiguration
from recflow.evaluation.compare import Paired
from recflow.evaluation.paired import Estimate
from recflow.wiring import build_services
from recflow.wiring.comparisons import ComparedLines, HeldOutSplit, compare_lines
from recflow.wiring.packages import NamedPackage

app = typer.Typer(no_args_is_help=True)

_DAYS = re.compile(r"(\d{4}-\d\d-\d\d)(?:\.\.(\d{4}-\d\d-\d\d))?")
_LONGEST_NAME = 44
_NOTHING = "–"
_WHICH = (
    "NAME (its stable), NAME@candidate (its newest), NAME@VERSION, VERSION, a recipe's file, a reference's JSON or file"
)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help=f"What is known: {_WHICH}.")],
    b: Annotated[str, typer.Argument(metavar="B", help="What may take its place, said alike.")],
    *,
    days: Annotated[
        str,
        typer.Option(metavar="FROM..TO", help="Rows made of B's days, as 2011-01-04..2011-01-10; else stored ones."),
    ] = "",
    split: Annotated[HeldOutSplit, typer.Option(help="Which units.")] = "test",
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="All numbers, for programs.")] = None,
) -> None:
    """Compare two packages on the same held-out rows, paired by unit. Nothing is released, recorded or changed."""
    console = Console(highlight=False)
    with console.status("answering the held-out rows"):
        found = compare_lines(build_services(), a, b, days=_span(days) if days else None, split=split)
    if json_file:
        json_file.write_text(json.dumps(found.as_json(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    _print(console, found, split)


def _span(text: str) -> tuple[date, date]:
    match = _DAYS.fullmatch(text)
    try:
        first, last = (date.fromisoformat(day) for day in (match[1], match[2] or match[1])) if match else (None, None)
    except ValueError:
        first = last = None
    if first is None or last is None or last < first:
        raise BadConfiguration("--days cannot be read", expected="2011-01-04..2011-01-10, or one day", seen=text)
    return first, last


def _print(console: Console, found: ComparedLines, split: str) -> None:
    metrics = found.task.metrics
    console.print(f"A  {_told(found.a)}\nB  {_told(found.b)}", markup=False)
    console.print(f"{found.found.units} {split} {metrics.units}: {found.rows}", markup=False)
    for warning in (*found.warnings, *_unanswered(found)):
        console.print(f"[yellow]{escape(warning)}[/yellow]")
    confidence = f"{100 * found.b.recipe.offline_gate.confidence:g} %"
    console.print(_metric_table(found, confidence))
    for line in _without_numbers(found.found.metrics):
        console.print(line, markup=False)
    console.print(_floor_table(found, confidence))
    for floor in found.found.floors:
        if floor.said:
            console.print(f"{floor.name}: {floor.said}", markup=False)
    console.print(_differing_table(found))
    console.print(_speed(found), markup=False)
    console.print("\n[bold]what differs between A and B, beside their data[/bold]")
    for change in found.changes or ("nothing",):
        console.print(f"  {change}", markup=False)


def _told(side: NamedPackage) -> str:
    made = side.manifest.created_at
    return f"{side.line}@{side.version}, of {side.manifest.interval.label}, made {made:%Y-%m-%d %H:%M}"


def _unanswered(found: ComparedLines) -> Iterator[str]:
    for name, reasons in zip("AB", found.found.unanswered, strict=True):
        if reasons:
            units = found.task.metrics.units
            yield f"{name} leaves {len(reasons)} {units} without an answer, the first by {reasons[0]}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", overflow="fold", no_wrap=number > 0)
    return table


def _metric_table(found: ComparedLines, confidence: str) -> Table:
    title = f"\neach metric by {found.task.metrics.unit}"
    table = _table(title, "", "A", "B", f"B better by, {confidence}", "win/tie/loss")
    part = ""
    for row in (row for row in found.found.metrics if not row.said):
        if row.part != part:
            table.add_row(f"[bold]{escape(row.part)}[/bold]")
            part = row.part
        name = f"{'  ' if part else ''}{escape(row.metric)}"
        counts = f"{row.wins}/{row.ties}/{row.losses}"
        table.add_row(name, _mean(row.a), _mean(row.b), _change(row.better), counts)
    return table


def _without_numbers(rows: Sequence[Paired]) -> Iterator[str]:
    """Why metrics have no numbers: a slice's only where every unit together has some."""
    nowhere = {row.metric for row in rows if row.said and not row.part}
    told = [row for row in rows if row.said and not (row.part and row.metric in nowhere)]
    for part, reason in dict.fromkeys((row.part, row.said) for row in told):
        alike = [row.metric for row in told if (row.part, row.said) == (part, reason)]
        yield f"{', '.join(alike)}{f' on {part}' if part else ''}: {reason}"


def _floor_table(found: ComparedLines, confidence: str) -> Table:
    table = _table(
        f"\nfloors: {found.task.metrics.main.told}",
        "",
        "floor",
        f"A better by, {confidence}",
        f"B better by, {confidence}",
    )
    for floor in found.found.floors:
        table.add_row(escape(floor.name), _mean(floor.value), _change(floor.a_better), _change(floor.b_better))
    return table


def _differing_table(found: ComparedLines) -> Table:
    metrics = found.task.metrics
    table = _table(f"\n{metrics.units} that differ most: {metrics.main.told}", "", "A", "B", "B better by")
    for unit in found.found.differing:
        name = unit.unit if len(unit.unit) <= _LONGEST_NAME else f"{unit.unit[: _LONGEST_NAME - 1]}…"
        table.add_row(escape(name), f"{unit.a:.4f}", f"{unit.b:.4f}", f"{unit.better:+.4f}")
    if not found.found.differing:
        table.add_row("none differs")
    return table


def _speed(found: ComparedLines) -> str:
    a, b = found.found.latency
    return (
        f"\nscoring a request, here, one at a time: A {a.p50_ms:.1f} ms, p95 {a.p95_ms:.1f}; B {b.p50_ms:.1f} ms,"
        f" p95 {b.p95_ms:.1f} ({b.requests} requests)"
    )


def _mean(estimate: Estimate | None) -> str:
    return f"{estimate.mean:.4f}" if estimate else _NOTHING


def _change(estimate: Estimate | None) -> str:
    if estimate is None:
        return _NOTHING
    style = "green" if estimate.low > 0 else "red" if estimate.high < 0 else ""
    text = f"{estimate.mean:+.4f} \\[{estimate.low:+.4f}, {estimate.high:+.4f}]"
    return f"[{style}]{text}[/{style}]" if style else text
