"""`recflow data`: what is kept of each day, and why."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from recflow.config.sections.data import LabelSection
from recflow.config.tasks import section_as
from recflow.errors import BadConfiguration
from recflow.wiring import build_services

app = typer.Typer(help="What is kept of each day, and why.", no_args_is_help=True)


@app.callback()
def _data() -> None:
    """What is kept of each day, and why."""


@app.command()
def propensity(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe, or path of its file.")],
    days: Annotated[int, typer.Option(min=1, help="The newest days that are read.")] = 30,
) -> None:
    """Say how likely shoppers look at each position, from days on which ranks changed, and what the recipe has."""
    from recflow.data.heads import HeadHistory
    from recflow.data.rows import ROWS
    from recflow.domain.examination import told
    from recflow.tasks.relevance.labels import read_events
    from recflow.tasks.relevance.propensity import estimate_examination

    services = build_services()
    line = services.recipe(recipe)
    section = section_as(line.labels, LabelSection)
    heads = islice(HeadHistory(services.store, line.name).newest_first(datetime.max.replace(tzinfo=UTC)), days)
    files = [(head.interval.label, services.artifacts.fetch(head.partition) / ROWS) for head in heads]
    if not files:
        raise BadConfiguration(f"{line.name} has no partition", expected="a validated day", seen="none")
    with TemporaryDirectory(prefix="propensity-") as folder, services.engine(Path(folder)) as engine:
        found = estimate_examination(engine, read_events(engine, files), section, line.outcomes)
    print("\n".join(told(found, section.position_bias_eta)))


@app.command()
def history(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="The recipe's name.")],
    day: Annotated[str, typer.Argument(metavar="[DAY]", help="As 2011-01-04; none: every day.")] = "",
) -> None:
    """The partitions that were current for each day, oldest first, since when and why."""
    from recflow.data.heads import HeadHistory

    heads = HeadHistory(build_services().store, recipe)
    labels = [day] if day else heads.labels()
    found = [head for label in labels for head in heads.history(label)]
    if not found:
        raise BadConfiguration(
            f"{recipe} has no partition of {day or 'any day'}", expected="a recipe and a day of it", seen="none"
        )
    for head in found:
        since = f"{head.at:%Y-%m-%d %H:%M:%S}" if head.at else "unknown time".ljust(19)
        reason = head.reason or "unknown reason"
        print(f"{head.interval.label}  {head.seq:>3}  {since}  {head.partition.short}  {reason}")


@app.command()
def compare(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe, or path of its file.")],
    first: Annotated[str, typer.Argument(metavar="DAY", help="As 2011-01-04; 2011-01-04@1 is its first delivery.")],
    second: Annotated[str, typer.Argument(metavar="DAY", help="Another day, or another delivery of it.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="All numbers, for programs.")] = False,
) -> None:
    """Say what differs between two days, or two deliveries of one, and whether it is more than chance and habit."""
    from recflow.data.compare import compare_days, tables
    from recflow.data.heads import HeadHistory

    services = build_services()
    line = services.recipe(recipe)
    heads = HeadHistory(services.store, line.name)
    with TemporaryDirectory(prefix="compare-") as folder, services.engine(Path(folder)) as engine:
        found = compare_days(engine, services.artifacts, line, heads, (first, second))
    print(json.dumps(asdict(found), ensure_ascii=False, indent=1) if as_json else "\n".join(tables(found)))
